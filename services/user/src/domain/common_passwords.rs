//! Passwords that whoever guesses tries first.

/// Our own list of passwords of 8 and more characters that published analyses of leaks name year after year (of the
/// NCSC and of makers of password managers), of walks over the keyboard, runs of digits, and names with a digit or a year. Lower case, sorted, one a line.
const LIST: &str = include_str!("common_passwords.txt");

/// Whether a password is one of the most common ones, letter case ignored (NIST SP 800-63B, section 5.1.1.2).
pub(super) fn is_common(password: &str) -> bool {
    let lower_case = password.to_lowercase();
    LIST.lines().any(|common| common == lower_case)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_only_what_could_be_chosen_and_each_once() {
        let list: Vec<_> = LIST.lines().collect();
        assert!(list.len() > 700);
        assert!(list.is_sorted_by(|left, right| left < right));
        for password in list {
            assert!((8..=128).contains(&password.chars().count()) && password == password.to_lowercase(), "{password}");
        }
    }

    #[test]
    fn common_passwords_are_found_in_any_letter_case() {
        for common in ["password", "PassWord1", "12345678", "QWERTYUIOP", "iloveyou", "trustno1"] {
            assert!(is_common(common), "{common}");
        }
        for good in ["correct horse", "password of ada", "1234567b", ""] {
            assert!(!is_common(good), "{good}");
        }
    }
}
