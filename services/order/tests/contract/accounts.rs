//! The contract of the port `Accounts`: a closing account takes no more orders.

use futures::future::join;
use order::{
    app::ports::{Placed, Standing},
    domain::status::Status,
};

use crate::fixture::{OrderSpec, START, Stores, of_user_1, order, user};

pub async fn a_closing_account_takes_no_order(stores: Stores) {
    let a = stores.stocked("a", 5).await;
    let before = of_user_1("before", &[(a, 1)]);
    stores.placed(&before).await;
    assert_eq!(stores.accounts.standing(user(1)).await.unwrap(), Standing::Active);
    stores.accounts.close(user(1), START).await.unwrap();
    stores.accounts.close(user(1), START).await.unwrap();
    assert_eq!(stores.accounts.standing(user(1)).await.unwrap(), Standing::Closing);
    assert_eq!(stores.accounts.standing(user(2)).await.unwrap(), Standing::Active);
    assert!(matches!(stores.place(&of_user_1("after", &[(a, 1)])).await, Placed::AccountClosing));
    assert!(matches!(stores.place(&before).await, Placed::Existing(_)));
    assert_eq!(stores.available(a).await, 4);
    let other = order(&OrderSpec { user: user(2), key: "k", lines: &[(a, 1)], at: START });
    stores.placed(&other).await;
}

/// However often it is told, and in whatever sequence.
pub async fn an_account_is_disabled_as_its_latest_version_says(stores: Stores) {
    for (version, disabled, standing) in [
        (2, true, Standing::Disabled),
        (2, true, Standing::Disabled),
        (3, false, Standing::Active),
        (2, true, Standing::Active),
        (7, true, Standing::Disabled),
        (6, false, Standing::Disabled),
    ] {
        stores.accounts.set_disabled(user(1), version, disabled).await.unwrap();
        assert_eq!(stores.accounts.standing(user(1)).await.unwrap(), standing, "{version}");
        assert_eq!(stores.accounts.standing(user(2)).await.unwrap(), Standing::Active);
    }
    stores.accounts.close(user(1), START).await.unwrap();
    stores.accounts.set_disabled(user(1), 8, false).await.unwrap();
    assert_eq!(stores.accounts.standing(user(1)).await.unwrap(), Standing::Closing);
}

/// After an account was closed no order of it appears, and what was placed before is there to be cancelled.
pub async fn an_order_wins_or_the_closing_does(stores: Stores) {
    let a = stores.stocked("a", 1000).await;
    let mut held = 0;
    for n in 0..24 {
        let order = order(&OrderSpec { user: user(n), key: "k", lines: &[(a, 1)], at: START });
        let ((), placed) =
            join(async { stores.accounts.close(user(n), START).await.unwrap() }, stores.place(&order)).await;
        let open = stores.orders.count_of_user_in(user(n), &[Status::Pending]).await.unwrap();
        match placed {
            Placed::Stored => assert_eq!(open, 1),
            Placed::AccountClosing => assert_eq!(open, 0),
            other => panic!("{other:?}"),
        }
        held += open;
        assert_eq!(matches!(stores.place(&order).await, Placed::Existing(_)), open == 1);
    }
    assert_eq!(u64::try_from(1000 - stores.available(a).await).unwrap(), held);
}
