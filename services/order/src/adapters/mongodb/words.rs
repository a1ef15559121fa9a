//! Finding products by the beginnings of words.

use mongodb::bson::{Document, doc};

use crate::domain::product::Product;

/// The words of a product, each once, in lower case.
pub(super) fn of(product: &Product) -> Vec<String> {
    let text = [product.sku.as_str(), product.name.as_str(), product.description.as_str()];
    let mut words: Vec<String> = text.into_iter().flat_map(split).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The condition that each of these begins a word: anchored expressions, which an index can serve.
pub(super) fn all_begin_a_word(words: &[String]) -> Vec<Document> {
    // Letters and digits alone are no operators.
    words.iter().flat_map(|word| split(word)).map(|word| doc! { "words": { "$regex": format!("^{word}") } }).collect()
}

fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_letters_and_digits() {
        let words = |text| split(text).collect::<Vec<_>>();
        assert_eq!(words("MUG-1 (Äpfel*)"), ["mug", "1", "äpfel"]);
        assert_eq!(words(".*"), [""; 0]);
    }
}
