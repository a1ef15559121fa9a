//! A parsed body: what serde's own value loses (duplicates, integer or float) is kept.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use error::{Error, Problem};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// One JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction and exponent.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Node>),
    /// An object's members as they came, duplicates included.
    Object(Vec<(String, Node)>),
}

/// Parses a body.
///
/// # Errors
///
/// [`Problem::MalformedBody`]: no JSON, invalid UTF-8, more than one value, nested deeper than 128.
pub fn parse(body: &[u8]) -> Result<Node, Error> {
    serde_json::from_slice(body).map_err(|fault| {
        let detail = format!("the body is not valid JSON (line {}, column {})", fault.line(), fault.column());
        Error::new(Problem::MalformedBody, detail)
    })
}

impl Node {
    /// Digest of the values: white space and the order of members do not matter, the order of lists does.
    pub fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        self.feed(&mut context);
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    }

    /// Feeds a tag and, where the length varies, the length before the content, so that no two values look alike.
    fn feed(&self, to: &mut Context) {
        let length = |to: &mut Context, tag: u8, length: usize| {
            to.update(&[tag]);
            to.update(&length.to_be_bytes());
        };
        match self {
            Self::Null => to.update(b"n"),
            Self::Bool(value) => to.update(if *value { b"t" } else { b"f" }),
            Self::Integer(value) => {
                to.update(b"i");
                to.update(&value.to_be_bytes());
            }
            Self::Float(value) => {
                to.update(b"d");
                to.update(&value.to_bits().to_be_bytes());
            }
            Self::Text(text) => {
                length(to, b's', text.len());
                to.update(text.as_bytes());
            }
            Self::List(items) => {
                length(to, b'l', items.len());
                for item in items {
                    item.feed(to);
                }
            }
            Self::Object(members) => {
                length(to, b'o', members.len());
                let mut sorted: Vec<_> = members.iter().collect();
                sorted.sort_by(|(left, _), (right, _)| left.cmp(right));
                for (name, value) in sorted {
                    length(to, b'k', name.len());
                    to.update(name.as_bytes());
                    value.feed(to);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Node::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            Just(Node::Null),
            any::<bool>().prop_map(Node::Bool),
            any::<i64>().prop_map(|n| Node::Integer(n.into())),
            ".{0,8}".prop_map(Node::Text),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Node::List),
                prop::collection::btree_map("[a-c]{1,3}", inner, 0..4)
                    .prop_map(|members| Node::Object(members.into_iter().collect())),
            ]
        })
    }

    fn text(node: &Node) -> String {
        match node {
            Node::Null => "null".into(),
            Node::Bool(value) => value.to_string(),
            Node::Integer(value) => value.to_string(),
            Node::Float(value) => value.to_string(),
            Node::Text(value) => serde_json::to_string(value).unwrap(),
            Node::List(items) => format!("[ {} ]", items.iter().map(text).collect::<Vec<_>>().join(" ,")),
            Node::Object(members) => {
                let members = members.iter().rev();
                let members =
                    members.map(|(name, value)| format!("{} : {}", serde_json::to_string(name).unwrap(), text(value)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }
        }
    }

    proptest! {
        #[test]
        fn space_and_member_order_do_not_change_the_digest(node in node()) {
            let again = parse(text(&node).as_bytes()).unwrap();
            prop_assert_eq!(node.digest(), again.digest());
        }

        #[test]
        fn other_values_have_another_digest(left in node(), right in node()) {
            prop_assert_eq!(left == right, left.digest() == right.digest());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn the_order_of_a_list_counts() {
        assert_ne!(parse(b"[1,2]").unwrap().digest(), parse(b"[2,1]").unwrap().digest());
        assert_ne!(parse(b"[[1],2]").unwrap().digest(), parse(b"[[1,2]]").unwrap().digest());
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        let bodies: [&[u8]; 8] = [b"", b"{", b"{} {}", b"{\"a\":\"\xff\"}", b"'a'", b"{a:1}", b"1e999", &[b'['; 4096]];
        for body in bodies {
            assert_eq!(parse(body).unwrap_err().problem(), Problem::MalformedBody, "{body:?}");
        }
    }
}
