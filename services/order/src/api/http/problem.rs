//! The use cases' errors as problem details.

use error::{HasKind, Kind, Violation};

use crate::{
    app::{Error, ports::Shortage},
    domain::basket::Fault,
};

impl HasKind for Error {
    fn kind(&self) -> Kind {
        self.kind()
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::KeyReused => vec![Violation::field("", "is not the body that the key was used with")],
            Self::Basket(faults) => faults.iter().map(|(line, fault)| line_at_fault(*line, *fault)).collect(),
            Self::UnknownToken => vec![Violation::field("/payment_token", "is not known")],
            Self::Shortage(lines) => lines.iter().map(short_line).collect(),
            Self::SkuTaken => vec![Violation::field("/sku", "is taken")],
            Self::StockFull => vec![Violation::field("/quantity", "is more than may be in stock")],
            _ => Vec::new(),
        }
    }
}

fn line_at_fault(line: usize, fault: Fault) -> Violation {
    let (field, detail) = match fault {
        Fault::UnknownProduct => ("product_id", "is not in the catalogue"),
        Fault::DuplicateProduct => ("product_id", "is in the order already"),
        Fault::CurrencyMismatch => ("product_id", "costs another currency than the lines before"),
        Fault::Overflow => ("quantity", "is more than can be paid for"),
    };
    Violation::field(format!("/items/{line}/{field}"), detail)
}

fn short_line(shortage: &Shortage) -> Violation {
    let Shortage { line, available } = shortage;
    Violation::field(format!("/items/{line}/quantity"), format!("is more than the {available} in stock"))
}
