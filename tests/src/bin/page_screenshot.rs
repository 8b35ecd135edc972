//! Pictures of the page of `auricle serve` after an utterance.
//!
//! `cargo run --release --workspace --bin page_screenshot -- http://127.0.0.1:8765/ take.wav "what was said" out.png [width] [dark]`
//!
//! The server has to run; Chromium has to be installed.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a tool of the project's own

use auricle_tests::browser::{Browser, bytes_of_base64, chromium};
use serde_json::json;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, wav, prompt, out, rest @ ..] = args.as_slice() else {
        eprintln!("usage: page_screenshot <url> <wav> <prompt> <out.png> [width] [dark]");
        std::process::exit(2);
    };
    let width = rest.first().map_or(860, |width| width.parse().expect("width"));
    let dark = rest.get(1).is_some_and(|mode| mode == "dark");
    let mut browser = Browser::start(&chromium().expect("no Chromium"), std::path::Path::new(wav));
    browser.before_pages("localStorage.setItem('auricle.history', JSON.stringify([[62,5],[58,4],[71,3],[69,2],[80,1]].map(([score, days]) => ({prompt: 'She sells sea shells by the sea shore', score, when: Date.now() - days * 864e5}))))");
    browser.open(url);
    let heard = browser.evaluate(&format!(
        "new Promise(done => {{
            document.addEventListener('auricle', ({{detail}}) => detail.type === 'final' && done(detail));
            new MutationObserver(() => document.getElementById('error').textContent && done(document.getElementById('error').textContent)).observe(document.getElementById('error'), {{childList: true}});
            const prompt = document.getElementById('prompt');
            prompt.value = {}; prompt.oninput();
            document.getElementById('record').click();
        }})",
        json!(prompt)
    ));
    println!("{heard}");
    let picture = browser.screenshot(width, 1.0, dark);
    std::fs::write(out, bytes_of_base64(&picture)).expect(out);
    browser.console.iter().for_each(|line| eprintln!("console: {line}"));
}
