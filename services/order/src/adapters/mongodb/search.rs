//! Full-text search by prefixes: the tokens that are stored with a product, and the condition that a query makes.

use mongodb::bson::{Document, doc};

use crate::domain::product::Product;

/// The tokens of a product, each once, in lower case.
pub(super) fn tokens(product: &Product) -> Vec<String> {
    let texts = [product.sku.as_str(), product.name.as_str(), product.description.as_str()];
    let mut tokens: Vec<String> = texts.into_iter().flat_map(tokenize).collect();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// The conditions that each of these begins a word: anchored expressions, which an index can serve.
pub(super) fn prefix_conditions(wanted: &[String]) -> Vec<Document> {
    let condition = |token: String| doc! { "words": { "$regex": format!("^{token}") } };
    // A token is letters and digits alone, so it holds nothing that means something in an expression.
    wanted.iter().flat_map(|text| tokenize(text)).map(condition).collect()
}

fn tokenize(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|token| !token.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::tokenize;

    #[test]
    fn tokens_are_letters_and_digits() {
        let tokens = |text| tokenize(text).collect::<Vec<_>>();
        assert_eq!(tokens("MUG-1 (Äpfel*)"), ["mug", "1", "äpfel"]);
        assert_eq!(tokens(".*"), [""; 0]);
    }
}
