//! Files and functions stay short enough to be read at once.

use super::in_source;
use crate::Breach;
use crate::source::Source;

const MAX_FILE: usize = 400;
const MAX_FUNCTION: usize = 60;

pub(super) fn files_are_short(source: &Source) -> Vec<Breach> {
    let lines = source.text.lines().count();
    if lines <= MAX_FILE {
        return Vec::new();
    }
    let detail = format!("{lines} lines; a file has at most {MAX_FILE}: part it by what it does");
    vec![in_source(source, MAX_FILE + 1, "file-size", detail)]
}

pub(super) fn functions_are_short(source: &Source) -> Vec<Breach> {
    source
        .functions()
        .into_iter()
        .filter(|function| function.lines > MAX_FUNCTION)
        .map(|function| {
            let (name, lines) = (&function.name, function.lines);
            let detail = format!("`{name}` has {lines} lines; a function has at most {MAX_FUNCTION}: name its steps");
            in_source(source, function.line, "function-size", detail)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_401_lines_is_too_long() {
        let file = |lines: usize| Source::new("crates/a/src/b.rs", "//\n".repeat(lines));
        assert_eq!(files_are_short(&file(400)), []);
        let breaches = files_are_short(&file(401));
        assert_eq!(
            breaches[0].to_string(),
            "crates/a/src/b.rs:401: [file-size] 401 lines; a file has at most 400: part it by what it does"
        );
    }

    #[test]
    fn a_function_of_61_lines_is_too_long() {
        let file = |inner: usize| Source::new("a.rs", format!("\nfn long() {{\n{}}}\n", "    x();\n".repeat(inner)));
        assert_eq!(functions_are_short(&file(58)), []);
        let breaches = functions_are_short(&file(59));
        assert_eq!((breaches[0].line, breaches[0].rule), (2, "function-size"));
        assert!(breaches[0].detail.contains("`long` has 61 lines"));
    }

    #[test]
    fn braces_in_texts_do_not_count() {
        let body = "let a = \"{\"; // {\n".repeat(3);
        let source = Source::new("a.rs", format!("fn short() {{\n{body}}}\n{}", "\n".repeat(80)));
        assert_eq!(functions_are_short(&source), []);
    }
}
