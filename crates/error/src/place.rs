//! Where in a request the fault is.

/// The part of a request that is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
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
    pub place: Place,
    /// What is wrong, in words for the caller.
    pub detail: String,
}

impl Violation {
    /// Makes a violation at any place.
    pub fn new(place: Place, detail: impl Into<String>) -> Self {
        Self { place, detail: detail.into() }
    }

    /// Makes a violation of a field of the body.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Place::Pointer(pointer.into()), detail)
    }

    /// Returns the member of a problem document's `errors`.
    pub(crate) fn json(&self) -> serde_json::Value {
        let (key, value) = match &self.place {
            Place::Pointer(at) => ("pointer", at),
            Place::Parameter(name) => ("parameter", name),
            Place::Header(name) => ("header", name),
        };
        serde_json::json!({ key: value, "detail": self.detail })
    }
}

impl Place {
    /// Returns the field's name as google.rpc.BadRequest writes it: `/items/0/quantity` is `items[0].quantity`.
    pub(crate) fn field_path(&self) -> String {
        let pointer = match self {
            Self::Pointer(pointer) => pointer,
            Self::Parameter(name) | Self::Header(name) => return name.clone(),
        };
        let mut path = String::with_capacity(pointer.len());
        for part in pointer.split('/').skip(1) {
            if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
                path.push('[');
                path.push_str(part);
                path.push(']');
            } else {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&part.replace("~1", "/").replace("~0", "~"));
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
            assert_eq!(Place::Pointer(pointer.into()).field_path(), path);
        }
        assert_eq!(Place::Header("If-Match".into()).field_path(), "If-Match");
    }
}
