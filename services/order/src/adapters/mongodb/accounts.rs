//! Closing and disabled accounts on MongoDB.

use async_trait::async_trait;
use clock::micros;
use futures::TryStreamExt as _;
use mongodb::{
    bson::{RawDocumentBuf, doc},
    options::ReadConcern,
};
use time::OffsetDateTime;

use super::{
    MongoStore,
    documents::{self, OrderDocument, StageName, number},
    id,
};
use crate::{
    app::ports::{Accounts, Standing, StoreError},
    domain::ids::UserId,
};

#[async_trait]
impl Accounts for MongoStore {
    async fn standing(&self, user: UserId) -> Result<Standing, StoreError> {
        let closing = mongodb::within("find closing_accounts", self.closing.find_one(doc! { "_id": id(user.0) }));
        let disabled = mongodb::within(
            "find disabled_accounts",
            self.disabled.find_one(doc! { "_id": id(user.0), "disabled": true }),
        );
        Ok(match futures::try_join!(closing, disabled)? {
            (Some(_), _) => Standing::Closing,
            (None, Some(_)) => Standing::Disabled,
            (None, None) => Standing::Active,
        })
    }

    async fn set_disabled(&self, user: UserId, version: u64, disabled: bool) -> Result<(), StoreError> {
        let version = number(version);
        let older = doc! { "_id": id(user.0), "version": { "$lt": version } };
        let mark = doc! { "$set": { "version": version, "disabled": disabled } };
        match mongodb::within("update disabled_accounts", self.disabled.update_one(older, mark).upsert(true)).await {
            // What is stored is not older, so a document of the same id was to be made beside it.
            Err(error) if error.is_duplicate() => Ok(()),
            done => Ok(done.map(drop)?),
        }
    }

    /// Marks the account, then aborts orders that are being placed: one that is stored later finds the mark.
    async fn close(&self, user: UserId, now: OffsetDateTime) -> Result<(), StoreError> {
        let mark = doc! { "$setOnInsert": { "at": micros(now) } };
        mongodb::within(
            "update closing_accounts",
            self.closing.update_one(doc! { "_id": id(user.0) }, mark).upsert(true),
        )
        .await?;
        let hidden = [StageName::Reserving.name(), StageName::Aborting.name()];
        let filter = doc! { "user": id(user.0), "stage.name": { "$in": hidden } };
        // Local, not majority: an order that a majority is about to have must not be missed. One that is rolled back
        // afterwards has been aborted for nothing, and no harm is done.
        let orders = self.orders.clone_with_type::<RawDocumentBuf>();
        let found = orders.find(filter).read_concern(ReadConcern::local());
        let found = async { found.await?.try_collect::<Vec<_>>().await };
        let mut unreadable = Ok(());
        for order in mongodb::within("find orders", found).await? {
            match documents::read::<OrderDocument>(&order) {
                Ok(order) => self.abort(&order).await?,
                // No other is held up; the closing itself is not over before somebody has aborted or shown it.
                Err(error) => unreadable = Err(error),
            }
        }
        unreadable
    }
}
