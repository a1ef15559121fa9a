//! What mails say: templates in `templates/`, whose first line is the subject.
//!
//! A template has names in braces. What is put in their place stays on its line, so that no value adds a header to a mail
//! or a paragraph to its text. Names of people are not among the values: whoever opens an account with somebody else's
//! address would write to them, in our name.

use super::ports::Content;
use crate::domain::{MailPurpose, Notification};

const VERIFY_EMAIL: &str = include_str!("../../templates/verify_email.txt");
const RESET_PASSWORD: &str = include_str!("../../templates/reset_password.txt");
const ORDER_CONFIRMED: &str = include_str!("../../templates/order_confirmed.txt");
const ORDER_REFUNDED: &str = include_str!("../../templates/order_refunded.txt");
const ACCOUNT_CLOSED: &str = include_str!("../../templates/account_closed.txt");

/// The text of a mail.
#[derive(PartialEq, Eq)]
pub struct MailText {
    /// Its subject, one line.
    pub subject: String,
    /// What stands below, plain text in lines that end with `\n`.
    pub body: String,
}

impl MailText {
    /// Writes what is to be said.
    pub fn of(content: &Content) -> Self {
        match content {
            Content::Token(MailPurpose::VerifyEmail, token) => fill(VERIFY_EMAIL, &[("token", token)]),
            Content::Token(MailPurpose::ResetPassword, token) => fill(RESET_PASSWORD, &[("token", token)]),
            Content::Notification(Notification::OrderConfirmed(order)) => {
                fill(ORDER_CONFIRMED, &[("order", &order.id.to_string()), ("total", &order.total.to_string())])
            }
            Content::Notification(Notification::OrderRefunded(order)) => {
                fill(ORDER_REFUNDED, &[("order", &order.id.to_string()), ("total", &order.total.to_string())])
            }
            Content::Notification(Notification::AccountClosed) => fill(ACCOUNT_CLOSED, &[]),
        }
    }
}

fn fill(template: &str, values: &[(&str, &str)]) -> MailText {
    let (subject, body) = template.split_once("\n\n").unwrap_or_default();
    MailText { subject: replaced(subject, values), body: replaced(body, values) }
}

/// Puts each value in its name's place. What a value has in braces is no name.
fn replaced(template: &str, values: &[(&str, &str)]) -> String {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        text.push_str(before);
        text.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }));
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use money::{Currency, Money};
    use uuid::Uuid;

    use super::*;
    use crate::domain::Order;

    fn contents() -> [Content; 5] {
        let total = Money::new(1299, Currency::parse("EUR").unwrap());
        let order = Order { id: Uuid::from_u128(17), total };
        [
            Content::Token(MailPurpose::VerifyEmail, "secret".to_owned()),
            Content::Token(MailPurpose::ResetPassword, "secret".to_owned()),
            Content::Notification(Notification::OrderConfirmed(order)),
            Content::Notification(Notification::OrderRefunded(order)),
            Content::Notification(Notification::AccountClosed),
        ]
    }

    /// The names in braces of a template.
    fn names(template: &str) -> Vec<&str> {
        template.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0).collect()
    }

    #[test]
    fn every_template_has_a_subject_and_says_what_it_is_about() {
        let templates = [VERIFY_EMAIL, RESET_PASSWORD, ORDER_CONFIRMED, ORDER_REFUNDED, ACCOUNT_CLOSED];
        for (content, template) in contents().iter().zip(templates) {
            let MailText { subject, body } = MailText::of(content);
            assert!(!subject.is_empty() && !subject.contains('\n') && body.ends_with(".\n"), "{template}");
            assert_eq!(template.lines().count(), 2 + body.lines().count());
            // Of the longest value, no line is as long as SMTP lets none be (RFC 5321, 4.5.3.1.6).
            assert!(body.lines().all(|line| line.len() < 100), "{body}");
            for name in names(template) {
                let value = match name {
                    "token" => "secret",
                    "order" => "00000000-0000-0000-0000-000000000011",
                    "total" => "12.99 EUR",
                    name => panic!("nobody knows {name}"),
                };
                assert!(body.contains(value), "{body}");
            }
        }
    }

    #[test]
    fn a_value_stays_on_its_line_and_is_not_read_as_a_template() {
        let values = [("order", "1\r\nBcc: eve@example.com\r\n\r\n{total}\u{85}"), ("total", "2")];
        let text = fill("About {order}\n\n{order} costs {total}{nothing}.\n", &values);
        assert_eq!(text.subject, "About 1  Bcc: eve@example.com    {total} ");
        assert_eq!(text.body, "1  Bcc: eve@example.com    {total}  costs 2.\n");
    }
}
