//! What is wrong with a request, and where.

/// What of a request is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A field of the body, as an RFC 6901 pointer: `/items/0/quantity`, or empty for the whole document.
    Pointer(String),
    /// A parameter of the query.
    Parameter(String),
    /// A header.
    Header(String),
}

/// One fault of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where it is.
    pub location: Location,
    /// What is wrong, for the caller to read.
    pub detail: String,
}

impl Violation {
    /// Makes a violation at any location.
    pub fn new(location: Location, detail: impl Into<String>) -> Self {
        Self { location, detail: detail.into() }
    }

    /// Makes a violation of a field of the body.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Location::Pointer(pointer.into()), detail)
    }

    /// Returns the member of a problem document's `errors`.
    pub fn json(&self) -> serde_json::Value {
        let (key, value) = match &self.location {
            Location::Pointer(at) => ("pointer", at),
            Location::Parameter(name) => ("parameter", name),
            Location::Header(name) => ("header", name),
        };
        serde_json::json!({ key: value, "detail": self.detail })
    }
}

impl Location {
    /// Returns the field's name as google.rpc.BadRequest writes it: `/items/0/quantity` is `items[0].quantity`.
    pub(crate) fn field_path(&self) -> String {
        let pointer = match self {
            Self::Pointer(pointer) => pointer,
            Self::Parameter(name) | Self::Header(name) => return name.clone(),
        };
        let mut path = String::with_capacity(pointer.len());
        for segment in pointer.split('/').skip(1) {
            if !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit()) {
                path.push('[');
                path.push_str(segment);
                path.push(']');
            } else {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&segment.replace("~1", "/").replace("~0", "~"));
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_becomes_a_field_path() {
        for (pointer, path) in [
            ("", ""),
            ("/name", "name"),
            ("/items/0/quantity", "items[0].quantity"),
            ("/a~1b/~0c", "a/b.~c"),
            ("/items/12", "items[12]"),
        ] {
            assert_eq!(Location::Pointer(pointer.into()).field_path(), path);
        }
        assert_eq!(Location::Header("If-Match".into()).field_path(), "If-Match");
    }
}
