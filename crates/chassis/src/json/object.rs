//! Reading the members of an object and noting what is wrong with them.

use std::{cell::RefCell, ops::RangeInclusive};

use error::{Error, Location, Violation};

use super::Node;

/// The most violations that are listed: a hostile body must not make the response large.
const MAX_VIOLATIONS: usize = 100;

/// Where all faults of one body are gathered.
type Report = RefCell<Vec<Violation>>;

/// An object being read. Members that are not known are faults.
#[derive(Debug)]
pub struct Object<'a> {
    members: &'a [(String, Node)],
    pointer: String,
    known: Vec<&'static str>,
    report: &'a Report,
}

fn note(report: &Report, pointer: String, detail: impl Into<String>) {
    let mut report = report.borrow_mut();
    if report.len() < MAX_VIOLATIONS {
        report.push(Violation { location: Location::Pointer(pointer), detail: detail.into() });
    }
}

impl Node {
    /// Reads the root object; every fault found is reported, not only the first.
    ///
    /// # Errors
    ///
    /// [`error::Problem::InvalidFields`] with a violation per fault.
    pub fn read<T>(&self, fields: impl FnOnce(&mut Object<'_>) -> Option<T>) -> Result<T, Error> {
        let report = Report::default();
        let value = Object::read(self, String::new(), &report, fields);
        match (value, report.into_inner()) {
            (Some(value), faults) if faults.is_empty() => Ok(value),
            (_, faults) if faults.is_empty() => Err(Error::invalid_field("", "is not valid")),
            (_, faults) => Err(Error::invalid(faults)),
        }
    }
}

impl<'a> Object<'a> {
    fn read<T>(
        node: &'a Node,
        pointer: String,
        report: &'a Report,
        fields: impl FnOnce(&mut Object<'_>) -> Option<T>,
    ) -> Option<T> {
        let Node::Object(members) = node else {
            note(report, pointer, "must be an object");
            return None;
        };
        let mut object = Object { members, pointer, known: Vec::new(), report };
        let value = fields(&mut object);
        object.refuse_unknown();
        value
    }

    /// Reads a member that must be there.
    pub fn required<T>(&mut self, name: &'static str, parse: impl FnOnce(&Node) -> Result<T, String>) -> Option<T> {
        let node = self.must(name)?;
        self.accept(name, parse(node))
    }

    /// Reads a member that may be left out (`Some(None)`), but must not be null.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Option<Option<T>> {
        match self.find(name)? {
            Some(node) => self.accept(name, parse(node)).map(Some),
            None => Some(None),
        }
    }

    /// Reads a member that is an object.
    pub fn object<T>(&mut self, name: &'static str, fields: impl FnOnce(&mut Object<'_>) -> Option<T>) -> Option<T> {
        let node = self.must(name)?;
        Object::read(node, self.at(name), self.report, fields)
    }

    /// Reads a member that is an object and may be left out (`Some(None)`).
    pub fn optional_object<T>(
        &mut self,
        name: &'static str,
        fields: impl FnOnce(&mut Object<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.find(name)? {
            Some(node) => Object::read(node, self.at(name), self.report, fields).map(Some),
            None => Some(None),
        }
    }

    /// Reads a list of objects whose length is within `length`.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        length: RangeInclusive<usize>,
        mut item: impl FnMut(&mut Object<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let node = self.must(name)?;
        let pointer = self.at(name);
        let Node::List(items) = node else {
            note(self.report, pointer, "must be a list");
            return None;
        };
        if !length.contains(&items.len()) {
            note(self.report, pointer, format!("must have {} to {} items", length.start(), length.end()));
            return None;
        }
        let mut read = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            read.push(Object::read(node, format!("{pointer}/{index}"), self.report, &mut item));
        }
        read.into_iter().collect()
    }

    fn accept<T>(&self, name: &str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|fault| note(self.report, self.at(name), fault)).ok()
    }

    fn must(&mut self, name: &'static str) -> Option<&'a Node> {
        let found = self.find(name)?;
        if found.is_none() {
            note(self.report, self.at(name), "is missing");
        }
        found
    }

    /// `None` is a fault that was noted, `Some(None)` a member that is not there.
    #[expect(clippy::option_option)]
    fn find(&mut self, name: &'static str) -> Option<Option<&'a Node>> {
        self.known.push(name);
        let mut found = self.members.iter().filter(|(member, _)| member == name).map(|(_, node)| node);
        let fault = match (found.next(), found.next()) {
            (Some(_), Some(_)) => "is given more than once",
            (Some(Node::Null), _) => "must not be null",
            (found, _) => return Some(found),
        };
        note(self.report, self.at(name), fault);
        None
    }

    fn refuse_unknown(&self) {
        for (name, _) in self.members {
            if !self.known.contains(&name.as_str()) {
                note(self.report, self.at(name), "is not known");
            }
        }
    }

    /// The pointer of a member (RFC 6901).
    fn at(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }
}

#[cfg(test)]
mod tests {
    use crate::json::{integer, multiline, parse, text};

    /// Reads `{"name", "note"?, "price": {"amount"}, "items": [{"quantity"}]}` and returns the faults.
    fn faults(body: &str) -> Vec<(String, String)> {
        let read = parse(body.as_bytes()).unwrap().read(|o| {
            let name = o.required("name", text(|t| Ok::<_, String>(t.to_owned())));
            let note = o.optional("note", multiline(|t| Ok::<_, String>(t.to_owned())));
            let price = o.object("price", |o| o.required("amount", integer(Ok::<_, String>)));
            let positive = |n| if n > 0 { Ok(n) } else { Err("must be positive") };
            let items = o.list("items", 1..=2, |o| o.required("quantity", integer(positive)));
            Some((name?, note?, price?, items?))
        });
        let Err(error) = read else { return Vec::new() };
        let pointer = |v: &error::Violation| match &v.location {
            error::Location::Pointer(pointer) => pointer.clone(),
            other => panic!("{other:?}"),
        };
        error.violations().iter().map(|v| (pointer(v), v.detail.clone())).collect()
    }

    fn pointers(body: &str) -> Vec<String> {
        faults(body).into_iter().map(|(pointer, _)| pointer).collect()
    }

    #[test]
    fn a_good_body_is_read() {
        assert!(faults(r#"{"items":[{"quantity":1}],"price":{"amount":-5},"name":"x","note":"a\nb"}"#).is_empty());
    }

    #[test]
    fn every_fault_names_its_field() {
        let good = r#""items":[{"quantity":1}],"price":{"amount":5}"#;
        assert_eq!(pointers("[]"), [""]);
        assert_eq!(pointers(&format!("{{{good}}}")), ["/name"], "missing");
        assert_eq!(pointers(&format!(r#"{{{good},"name":null}}"#)), ["/name"], "null");
        assert_eq!(pointers(&format!(r#"{{{good},"name":"a","name":"a"}}"#)), ["/name"], "duplicate");
        assert_eq!(pointers(&format!(r#"{{{good},"name":"a","a/b~":1}}"#)), ["/a~1b~0"], "unknown, escaped");
        assert_eq!(pointers(&format!(r#"{{{good},"name":"a\u0000"}}"#)), ["/name"], "control character");
        assert_eq!(pointers(&format!(r#"{{{good},"name":"a","note":null}}"#)), ["/note"], "optional is not nullable");
        let lines = r#"{"name":"a","price":{"amount":1.0},"items":[{"quantity":0},{"quantity":"1","x":1}]}"#;
        assert_eq!(pointers(lines), ["/price/amount", "/items/0/quantity", "/items/1/quantity", "/items/1/x"]);
        assert_eq!(pointers(r#"{"name":"a","price":1,"items":[]}"#), ["/price", "/items"]);
    }

    #[test]
    fn the_list_of_faults_is_bounded() {
        let unknown: Vec<String> = (0..5000).map(|n| format!("\"f{n}\":1")).collect();
        assert_eq!(faults(&format!("{{{}}}", unknown.join(","))).len(), super::MAX_VIOLATIONS);
    }
}
