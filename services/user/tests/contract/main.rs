//! The contract of the stores, over every adapter.
//!
//! A case is a function over [`Stores`]; another adapter needs a function that opens it and one `suite!`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod accounts;
mod audit_trail;
mod closings;
mod fixture;
mod mail_tokens;
mod notifications;
mod sessions;
mod signing_keys;

use fixture::Stores;

macro_rules! stores {
    ($run:path, $how:tt) => {
        $run! { $how [crate]
            accounts {
                an_account_is_found_as_it_was_stored,
                an_address_is_taken_whatever_its_letter_case,
                an_account_of_another_version_is_not_overwritten,
                of_several_changes_of_one_version_one_wins,
                a_change_to_a_taken_address_stores_nothing,
                an_order_is_counted_once_and_changes_no_version,
                an_order_of_nobody_is_not_counted,
                an_order_counted_in_between_survives_a_change,
                a_login_finds_what_it_needs,
                a_new_password_replaces_the_one_that_it_was_made_for,
                a_change_ends_the_sessions_that_do_not_survive_it,
                a_role_is_given,
                several_accounts_are_found_at_once,
                an_account_that_is_not_known_holds_up_no_other,
                a_time_that_is_none_holds_up_no_other,
                everything_is_summed_up,
            }
            audit_trail {
                entries_come_youngest_first,
                an_entry_that_is_not_known_holds_up_no_other,
                an_entry_is_stored_with_what_it_tells_of,
                a_disabled_account_lets_nobody_in,
                only_an_active_operator_disables,
                of_two_who_disable_each_other_one_is_left,
                no_entry_is_changed_or_deleted,
            }
            mail_tokens {
                a_mail_token_is_good_once_and_for_its_purpose,
                a_reset_replaces_the_password_and_ends_everything,
                of_several_resets_at_once_one_wins,
                a_mail_token_replaces_the_one_before,
                a_mail_token_ends_with_its_time,
                another_address_or_password_ends_what_was_sent,
                those_who_prune_at_once_do_not_wait_for_each_other,
            }
            notifications {
                a_mail_is_owed_until_it_is_sent,
                a_mail_is_owed_once_for_an_event_and_has_one_task,
                a_mail_is_stored_with_the_order_that_it_tells_of,
                a_mail_keeps_its_address_when_the_account_loses_it,
                nobody_without_an_address_is_owed_a_mail,
                a_mail_that_cannot_be_sent_is_given_up,
            }
            closings {
                closing_revokes_the_sessions_and_is_due_later,
                a_claimed_closing_is_hidden_for_a_while,
                a_closing_of_a_clock_that_was_ahead_is_due,
                closings_are_claimed_longest_due_first_and_no_more_than_asked_for,
                a_closing_that_cannot_be_read_holds_up_no_other,
                a_wake_up_is_not_lost_to_a_postponement,
                only_an_account_that_closes_is_woken,
                a_closing_keeps_its_trace,
                a_closed_account_is_forgotten_and_its_address_free,
                an_account_closes_once,
                a_change_and_a_closing_of_one_version_exclude_each_other,
            }
            sessions {
                a_token_is_exchanged_for_its_successor,
                a_token_shown_again_at_once_has_the_successor_that_it_had,
                a_second_use_after_the_successors_revokes_the_family,
                a_late_second_use_revokes_the_family,
                of_several_uses_at_once_one_successor_is_stored,
                a_revoked_session_lets_nobody_in,
                an_expired_or_unknown_token_lets_nobody_in,
                a_new_role_counts_from_the_next_token,
                only_an_active_account_with_this_password_begins_a_session,
                sessions_that_go_on_are_listed_youngest_first,
                what_ended_is_pruned,
            }
            signing_keys {
                keys_come_oldest_first_and_go,
                a_key_that_cannot_be_read_keeps_its_place,
                a_key_has_one_successor,
                a_key_signs_earlier_and_never_later,
            }
        }
    };
}
pub(crate) use stores;

mod sqlite_in_memory {
    testkit::suite! { crate::stores, crate::Stores::sqlite_in_memory().await }
}

mod sqlite_in_a_file {
    testkit::suite! { crate::stores, crate::Stores::sqlite_in_a_file().await }
}

mod postgres {
    testkit::suite! { crate::stores, match crate::Stores::postgres().await {
        Some(stores) => stores,
        None => return,
    } }
}
