//! Documents that clients name instead of sending them: automatic persisted queries, or a safelist.
//!
//! The protocol is Apollo's: `extensions.persistedQuery.sha256Hash` names a document. Without a safelist one that is not
//! known is sent once with its text and remembered; a name is the hash of the text, so that nobody can put another behind it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_graphql::{Request, Value, parser::types::ExecutableDocument};
use aws_lc_rs::digest::{SHA256, digest};
use error::{Error, Problem};

use super::limits;

/// The most words of all documents that are remembered: a word takes some hundred bytes. The oldest document is forgotten
/// first.
const MAX_WORDS: usize = 20_000;

/// What Apollo's clients look for before they send the text.
const NOT_FOUND: &str = "PersistedQueryNotFound";

type Hash = [u8; 32];

/// The documents that are known by their hashes; by default those that were sent lately, and any other is taken, too.
#[derive(Debug, Default)]
pub struct Documents(Known);

#[derive(Debug)]
enum Known {
    Remembered(Mutex<Remembered>),
    /// These and no others.
    Safelist(HashMap<Hash, ExecutableDocument>),
}

impl Default for Known {
    fn default() -> Self {
        Self::Remembered(Mutex::default())
    }
}

#[derive(Debug, Default)]
struct Remembered {
    documents: HashMap<Hash, ExecutableDocument>,
    /// The oldest first, each with its words.
    order: VecDeque<(Hash, usize)>,
    words: usize,
}

impl Remembered {
    fn insert(&mut self, hash: Hash, words: usize, document: ExecutableDocument) {
        if self.documents.insert(hash, document).is_none() {
            self.order.push_back((hash, words));
            self.words += words;
        }
        while self.words > MAX_WORDS
            && let Some((oldest, words)) = self.order.pop_front()
        {
            self.documents.remove(&oldest);
            self.words -= words;
        }
    }
}

impl Documents {
    /// Takes the documents of a JSON object, hash by text, and no others.
    ///
    /// # Errors
    /// It is no such object, a hash is not that of its text, or a document cannot be executed.
    pub fn safelist(json: &str) -> Result<Self, anyhow::Error> {
        let texts: HashMap<String, String> = serde_json::from_str(json)?;
        let entry = |(name, text): (String, String)| {
            anyhow::ensure!(hex::encode(hash(&text)) == name, "{name} is not the SHA-256 of its document");
            let document = limits::parse(&text).map_err(|error| anyhow::anyhow!("{name}: {}", error.detail()))?;
            Ok((hash(&text), document))
        };
        Ok(Self(Known::Safelist(texts.into_iter().map(entry).collect::<Result<_, _>>()?)))
    }

    /// Whether the documents are those of the operator and no others.
    pub(super) fn are_listed(&self) -> bool {
        matches!(self.0, Known::Safelist(_))
    }

    /// The document that a request asks to execute.
    ///
    /// # Errors
    /// It is not known or not allowed, asks for too much, or is none.
    pub(super) fn find(&self, request: &Request) -> Result<ExecutableDocument, Error> {
        let text = Some(request.query.as_str()).filter(|text| !text.is_empty());
        match (&self.0, named(request)?, text) {
            (Known::Safelist(allowed), name, text) => {
                let hash = name.or_else(|| text.map(hash));
                let document = hash.and_then(|hash| allowed.get(&hash)).cloned();
                document.ok_or_else(|| Error::of(Problem::DocumentNotAllowed))
            }
            (Known::Remembered(remembered), Some(name), None) => {
                let document = lock(remembered).documents.get(&name).cloned();
                document.ok_or_else(|| Error::new(Problem::PersistedQueryNotFound, NOT_FOUND))
            }
            (Known::Remembered(remembered), Some(name), Some(text)) => {
                if hash(text) != name {
                    return Err(Error::new(Problem::InvalidDocument, "sha256Hash is not that of the document"));
                }
                remember(remembered, name, text)
            }
            // Clients send the same few documents again and again, and parsing one is half of what it costs.
            (Known::Remembered(remembered), None, text) => {
                let text = text.unwrap_or_default();
                remember(remembered, hash(text), text)
            }
        }
    }
}

/// The document of a text, which is parsed where it is not remembered.
fn remember(remembered: &Mutex<Remembered>, hash: Hash, text: &str) -> Result<ExecutableDocument, Error> {
    if let Some(document) = lock(remembered).documents.get(&hash) {
        return Ok(document.clone());
    }
    let document = limits::parse(text)?;
    lock(remembered).insert(hash, limits::words(text), document.clone());
    Ok(document)
}

fn lock(remembered: &Mutex<Remembered>) -> MutexGuard<'_, Remembered> {
    remembered.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash(text: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

/// The hash by which a request names its document.
fn named(request: &Request) -> Result<Option<Hash>, Error> {
    let Some(Value::Object(persisted)) = request.extensions.get("persistedQuery") else {
        return Ok(None);
    };
    let mut hash = Hash::default();
    match persisted.get("sha256Hash") {
        Some(Value::String(text)) if hex::decode_to_slice(text, &mut hash).is_ok() => Ok(Some(hash)),
        _ => Err(Error::new(Problem::InvalidDocument, "persistedQuery has no sha256Hash of 64 hexadecimal digits")),
    }
}
