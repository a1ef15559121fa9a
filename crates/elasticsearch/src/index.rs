//! An index behind an alias: written, searched, and built anew beside the one in use.
//!
//! | name on the server | what it is |
//! |---|---|
//! | `PREFIX-NAME` | the alias of the index in use: what is searched |
//! | `PREFIX-NAME-building` | the alias of the one that is being built, while one is |
//! | `PREFIX-NAME-7` | an index; its mapping's `_meta` holds how far it is built |
//!
//! Both aliases are in every write, and the server resolves them when it writes: no writer has to be told when a build
//! begins or ends. What a build reads from the store after it has begun, and what is written meanwhile, may come in any
//! order, because the highest version of a document stays.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Map, Value, json};

use crate::{Client, Error, Hits, answer::written};

/// What is asked for of an answer to a search, and of one to a bulk of writes.
const FOUND: &str = "allow_partial_search_results=false&filter_path=timed_out,hits.total.value,hits.hits._id,hits.hits.sort,aggregations";
const WRITTEN: &str = "filter_path=items.*.status,items.*.error.type,items.*.error.reason";

/// A document of a version. Of one id the highest version stays, whatever comes last.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// Its version, which is the store's.
    pub version: u64,
    /// Its fields.
    pub fields: Value,
}

/// An index behind an alias.
#[derive(Clone, Debug)]
pub struct Index {
    client: Client,
    alias: String,
    building: String,
    /// `settings` and `mappings` of what is built.
    schema: Value,
}

/// An index that is being built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The name that it has on the server.
    pub index: String,
    /// The mark that the last [`Index::fill`] has left, where a build is carried on.
    pub after: Option<String>,
}

/// An index on the server.
struct Existing {
    name: String,
    in_use: bool,
    building: bool,
}

impl Index {
    /// The index called `name`; what is built has the `settings` and `mappings` of `schema`.
    pub fn new(client: Client, name: &str, schema: Value) -> Self {
        let alias = client.named(name);
        Self { client, building: format!("{alias}-building"), alias, schema }
    }

    /// Searches, in the server's query language.
    ///
    /// # Errors
    /// There is no index yet, the server does not answer, or not with all of its data.
    pub async fn search(&self, query: &Value) -> Result<Hits, Error> {
        Hits::read(self.client.search(&format!("/{}/_search?{FOUND}", self.alias), query).await?)
    }

    /// Writes to the index in use and to the one that is being built, whichever there are.
    ///
    /// # Errors
    /// The server does not answer or refuses; some may be written.
    pub async fn put(&self, documents: &[Document]) -> Result<(), Error> {
        self.write(&[&self.alias, &self.building], documents, false).await
    }

    /// Whether there is an index in use.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn exists(&self) -> Result<bool, Error> {
        match self.client.call(Method::HEAD, &format!("/_alias/{}", self.alias), None).await {
            Ok(_) => Ok(true),
            Err(Error::NoIndex) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets searches see all that has been written, which they do by themselves after a second.
    ///
    /// # Errors
    /// There is no index in use, or the server does not answer.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.client.call(Method::POST, &format!("/{}/_refresh", self.alias), None).await.map(drop)
    }

    /// Begins to build an index, or carries on a build that was interrupted. From now on writes go to it as well: what
    /// the store has is to be read after this.
    ///
    /// # Errors
    /// The server does not answer or refuses.
    pub async fn build(&self) -> Result<Build, Error> {
        let template = json!({ "index_patterns": [format!("{}-*", self.alias)], "template": self.schema });
        self.client.call(Method::PUT, &format!("/_index_template/{}", self.alias), Some(&template)).await?;
        let existing = self.existing().await?;
        if let Some(begun) = existing.iter().find(|index| index.building) {
            if !begun.in_use {
                return Ok(Build { index: begun.name.clone(), after: self.mark(&begun.name).await? });
            }
            // Its end was interrupted.
            self.end(&begun.name).await?;
        }
        let number = |index: &Existing| index.name.rsplit('-').next().and_then(|number| number.parse::<u64>().ok());
        let last = existing.iter().filter_map(number).max().unwrap_or_default();
        let index = format!("{}-{}", self.alias, last + 1);
        // The alias comes with the index: nothing is written in between.
        let aliases = json!({ "aliases": { &self.building: {} } });
        self.client.call(Method::PUT, &format!("/{index}"), Some(&aliases)).await?;
        Ok(Build { index, after: None })
    }

    /// Writes what the store has, and leaves the mark `after`, from which an interrupted build is carried on.
    ///
    /// # Errors
    /// The server does not answer or refuses; [`Error::NoIndex`] where the build was ended elsewhere.
    pub async fn fill(&self, index: &str, documents: &[Document], after: &str) -> Result<(), Error> {
        self.write(&[&self.building], documents, true).await?;
        let mark = json!({ "_meta": { "after": after } });
        self.client.call(Method::PUT, &format!("/{index}/_mapping"), Some(&mark)).await.map(drop)
    }

    /// Puts the index into the place of the one in use, in one step, and removes what is not used any more.
    ///
    /// # Errors
    /// The server does not answer or refuses; the build may be carried on.
    pub async fn finish(&self, built: &str) -> Result<(), Error> {
        self.client.call(Method::POST, &format!("/{built}/_refresh"), None).await?;
        let existing = self.existing().await?;
        let old = existing.iter().filter(|index| index.in_use && index.name != built);
        let mut actions: Vec<Value> = old.map(|index| alias_action("remove", &index.name, &self.alias)).collect();
        actions.push(alias_action("add", built, &self.alias));
        self.change_aliases(&actions).await?;
        // Only now: a write that found the old index in use has found this one as the one that is being built.
        self.end(built).await?;
        for unused in existing.iter().filter(|index| index.name != built && !index.building) {
            match self.client.call(Method::DELETE, &format!("/{}", unused.name), None).await {
                // Somebody else's end of the same build.
                Ok(_) | Err(Error::NoIndex) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The index is built, and is only in use from now on.
    async fn end(&self, index: &str) -> Result<(), Error> {
        self.change_aliases(&[alias_action("remove", index, &self.building)]).await
    }

    async fn change_aliases(&self, actions: &[Value]) -> Result<(), Error> {
        self.client.call(Method::POST, "/_aliases", Some(&json!({ "actions": actions }))).await.map(drop)
    }

    /// The indices of this name.
    async fn existing(&self) -> Result<Vec<Existing>, Error> {
        let found = self.client.call(Method::GET, &format!("/{}-*/_alias", self.alias), None).await?;
        let found: Map<String, Value> = serde_json::from_value(found)?;
        let has = |index: &Value, alias: &str| index["aliases"].get(alias).is_some();
        let existing = |(name, index): (String, Value)| Existing {
            in_use: has(&index, &self.alias),
            building: has(&index, &self.building),
            name,
        };
        Ok(found.into_iter().map(existing).collect())
    }

    async fn mark(&self, index: &str) -> Result<Option<String>, Error> {
        let mapping = self.client.call(Method::GET, &format!("/{index}/_mapping"), None).await?;
        Ok(mapping[index]["mappings"]["_meta"]["after"].as_str().map(str::to_owned))
    }

    async fn write(&self, aliases: &[&str], documents: &[Document], must_exist: bool) -> Result<(), Error> {
        if documents.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for Document { id, version, fields } in documents {
            for alias in aliases {
                // Without an alias of that name the server would make an index of it.
                let action = json!({ "index": {
                    "_index": alias, "_id": id, "version": version, "version_type": "external_gte", "require_alias": true,
                } });
                let _ = writeln!(lines, "{action}\n{fields}"); // into a string: it does not fail
            }
        }
        let written = |answer| written(answer, must_exist);
        self.client.bulk(&self.alias, &format!("/_bulk?{WRITTEN}"), lines.into(), written).await
    }
}

fn alias_action(action: &str, index: &str, alias: &str) -> Value {
    json!({ action: { "index": index, "alias": alias } })
}
