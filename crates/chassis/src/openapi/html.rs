//! A document as a page for people: every operation with what it takes and answers, and a form that tries it.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::page::{prose, text};

/// The methods in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Writes the body of the page.
pub(super) fn body(document: &Value, json_at: &str) -> String {
    let info = &document["info"];
    let mut html = format!(
        "<h1>{}</h1>{}<p class=\"soft\"><a href=\"{json_at}\">{json_at}</a> · <a href=\"/problems\">Problems</a></p>\
         <p><label>Access token <input id=\"token\" autocomplete=\"off\" spellcheck=\"false\"></label></p>",
        text(string(&info["title"])),
        paragraphs(string(&info["description"])),
    );
    for tag in list(&document["tags"]) {
        let name = string(&tag["name"]);
        let _ = write!(html, "<h2>{}</h2>{}", text(name), paragraphs(string(&tag["description"])));
        for (path, item) in members(&document["paths"]) {
            for method in METHODS {
                let operation = &item[method];
                if list(&operation["tags"]).iter().any(|tagged| tagged == name) {
                    html.push_str(&self::operation(document, path, method, operation));
                }
            }
        }
    }
    html.push_str("<h2>Schemas</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let (name, schema) = (text(name), text(&format!("{schema:#}")));
        let _ = write!(html, "<details id=\"{name}\"><summary>{name}</summary><pre>{schema}</pre></details>");
    }
    html
}

fn operation(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let parameters: Vec<_> =
        list(&operation["parameters"]).iter().map(|parameter| resolved(document, parameter)).collect();
    let body = &operation["requestBody"]["content"]["application/json"];
    format!(
        "<details id=\"{id}\"><summary><span class=\"method\">{method}</span><code>{path}</code> {summary}{deprecated}</summary>\
         {description}{security}{parameters}{body}{answers}{form}</details>",
        id = text(string(&operation["operationId"])),
        method = method.to_uppercase(),
        path = text(path),
        summary = prose(string(&operation["summary"])),
        deprecated = if operation["deprecated"] == true { " <span class=\"soft\">deprecated</span>" } else { "" },
        description = paragraphs(string(&operation["description"])),
        security = security(&operation["security"]),
        parameters = table_of_parameters(&parameters),
        body = table_of_body(body),
        answers = table_of_answers(document, &operation["responses"]),
        form = form(path, method, &parameters, body),
    )
}

fn security(requirements: &Value) -> String {
    let schemes = list(requirements).iter().flat_map(members).map(|(name, _)| format!("<code>{}</code>", text(name)));
    let schemes: Vec<_> = schemes.collect();
    if schemes.is_empty() { String::new() } else { format!("<p class=\"soft\">Needs {}.</p>", schemes.join(", ")) }
}

fn table_of_parameters(parameters: &[&Value]) -> String {
    let row = |parameter: &&Value| {
        let needed = if parameter["required"] == true { ", required" } else { "" };
        format!(
            "<tr><td><code>{}</code></td><td>{}{needed}</td><td>{} {}</td></tr>",
            text(string(&parameter["name"])),
            text(string(&parameter["in"])),
            prose(string(&parameter["description"])),
            bounds(&parameter["schema"]),
        )
    };
    let rows: String = parameters.iter().map(row).collect();
    format!("<h3>Parameters</h3><table>{rows}</table>")
}

/// What a value may be, as far as JSON Schema has words for it.
fn bounds(schema: &Value) -> String {
    let bound = |keyword: &&str| {
        let value = schema.get(*keyword)?;
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(format!("<span class=\"soft\">{keyword}</span> <code>{}</code>", text(&value)))
    };
    let keywords = ["format", "pattern", "minLength", "maxLength", "minimum", "maximum", "default"];
    keywords.iter().filter_map(bound).collect::<Vec<_>>().join(" ")
}

fn table_of_body(body: &Value) -> String {
    if body.is_null() {
        return String::new();
    }
    format!("<h3>Body</h3><p>{}</p><pre>{}</pre>", schema(&body["schema"]), text(&format!("{:#}", body["example"])))
}

fn table_of_answers(document: &Value, answers: &Value) -> String {
    let row = |(status, answer): (&String, &Value)| {
        let answer = resolved(document, answer);
        let content = &answer["content"]["application/json"];
        format!(
            "<tr><td>{}</td><td>{}{}{}</td></tr>",
            text(status),
            linked(string(&answer["description"])),
            if content.is_null() { String::new() } else { format!(" {}", schema(&content["schema"])) },
            headers(&answer["headers"]),
        )
    };
    let rows: String = members(answers).map(row).collect();
    format!("<h3>Answers</h3><table>{rows}</table>")
}

fn headers(headers: &Value) -> String {
    let names: Vec<_> = members(headers).map(|(name, _)| format!("<code>{}</code>", text(name))).collect();
    if names.is_empty() { String::new() } else { format!(" <span class=\"soft\">{}</span>", names.join(" ")) }
}

fn schema(schema: &Value) -> String {
    let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) else {
        return String::new();
    };
    format!("<a href=\"#{name}\">{name}</a>", name = text(name))
}

fn form(path: &str, method: &str, parameters: &[&Value], body: &Value) -> String {
    let input = |parameter: &&Value| {
        let name = text(string(&parameter["name"]));
        let place = text(string(&parameter["in"]));
        format!("<label>{name} <input name=\"{name}\" data-in=\"{place}\" autocomplete=\"off\"></label> ")
    };
    let inputs: String = parameters.iter().map(input).collect();
    let body = match &body["example"] {
        Value::Null => String::new(),
        example => {
            let example = format!("{example:#}");
            let rows = example.lines().count();
            format!("<textarea rows=\"{rows}\" spellcheck=\"false\">{}</textarea>", text(&example))
        }
    };
    format!(
        "<h3>Try it</h3><form data-path=\"{}\" data-method=\"{}\">{inputs}{body}<button>Send</button>\
         <pre><output></output></pre></form>",
        text(path),
        method.to_uppercase(),
    )
}

/// What a reference leads to, or the value itself.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let target = value["$ref"].as_str().and_then(|reference| document.pointer(reference.strip_prefix('#')?));
    target.unwrap_or(value)
}

fn paragraphs(markdown: &str) -> String {
    let paragraphs = markdown.split("\n\n").filter(|one| !one.is_empty());
    paragraphs.fold(String::new(), |html, one| html + "<p>" + &prose(one) + "</p>")
}

/// Prose whose lines may begin with a link, as `[name](path)`.
fn linked(description: &str) -> String {
    let line = |line: &str| {
        let link = line.strip_prefix('[').and_then(|rest| rest.split_once("]("));
        let link = link.and_then(|(name, rest)| Some((name, rest.split_once(')')?)));
        match link {
            Some((name, (path, rest))) => format!("<a href=\"{}\">{}</a>{}", text(path), text(name), prose(rest)),
            None => prose(line),
        }
    };
    description.split("\n\n").map(line).collect::<Vec<_>>().join("<br>")
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
