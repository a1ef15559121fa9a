//! The interface as a whole: its description.

use axum::http::StatusCode;

use crate::app::TestApp;

#[tokio::test]
async fn the_committed_description_is_this_one() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").send().await.expect(StatusCode::OK);
    testkit::committed("docs/openapi/user.json", &String::from_utf8(document.bytes.to_vec()).unwrap());
    let text = document.body["paths"].to_string();
    assert!(!text.contains("x-problems"), "a list of problems was not read");
}

/// What is described is what is answered: no member more, none less.
#[tokio::test]
async fn answers_have_the_described_members() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let description = app.get("/openapi.json").send().await.body;
    let read = async |path: &str| app.get(path).bearer(&ada.access).send().await.expect(StatusCode::OK).body;
    let session = read("/v1/users/me/sessions").await["items"][0].clone();
    for (name, document) in [("User", read("/v1/users/me").await), ("Session", session)] {
        let described = description["components"]["schemas"][name]["properties"].as_object().unwrap();
        let answered = document.as_object().unwrap();
        assert_eq!(described.keys().collect::<Vec<_>>(), answered.keys().collect::<Vec<_>>(), "{name}");
    }
}
