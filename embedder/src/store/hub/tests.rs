//! Against a server on loopback that answers the way the hub does.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use super::super::pull::verify;
use super::super::tests::{CONTENT, CONTENT_HASH, toy_pin};
use super::*;

const COMMIT: &str = "0123456789012345678901234567890123456789";

/// Serves until the test ends; `answer` maps a path to a body.
fn serve(answer: fn(&str) -> Option<Vec<u8>>) -> Hub {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that gives up half-way is no failure of the server.
            let _ = stream.and_then(|stream| respond(stream, answer));
        }
    });
    Hub { endpoint, patience: Duration::from_secs(10) }
}

fn respond(stream: TcpStream, answer: fn(&str) -> Option<Vec<u8>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut only_first_byte = false;
    for line in lines {
        let line = line?.to_lowercase();
        only_first_byte |= line.starts_with("range:") && line.ends_with("=0-0");
        if line.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let mut stream = stream;
    let Some(body) = answer(path) else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let sent = if only_first_byte { &body[..1] } else { &body[..] };
    let etag = path.replace('/', "_");
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes 0-0/{}\r\n\
         ETag: \"{etag}\"\r\nx-repo-commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        sent.len(),
        body.len(),
    )?;
    stream.write_all(sent)
}

fn fetch_pinned(hub: &Hub, sha256: &'static str) -> Result<Vec<PullProgress>, ModelError> {
    let staging = tempfile::tempdir().unwrap();
    let pinned = toy_pin(sha256);
    let mut seen = Vec::new();
    let fetched = hub.fetch_pinned(staging.path(), &pinned, &mut |step| seen.push(step))?;
    verify(&pinned, &fetched).map(|()| seen)
}

#[test]
fn pinned_files_arrive_with_progress_and_must_match() {
    let hub = serve(|path| path.starts_with("/toy/toy/resolve/0/").then(|| CONTENT.to_vec()));
    let seen = fetch_pinned(&hub, CONTENT_HASH).unwrap();
    assert_eq!(seen[0].stage, PullStage::Contacting);
    let last = seen.last().unwrap();
    let size = CONTENT.len() as u64;
    assert_eq!((last.what.as_str(), last.done, last.total), ("model.safetensors", size, size));
    let other = "0000000000000000000000000000000000000000000000000000000000000000";
    assert!(matches!(fetch_pinned(&hub, other), Err(ModelError::Mismatch { .. })));
}

#[test]
fn a_missing_or_oversized_file_is_an_error() {
    let missing = serve(|path| path.ends_with("config.json").then(|| CONTENT.to_vec()));
    let error = fetch_pinned(&missing, CONTENT_HASH).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json") && error.contains("404"), "{error}");
    let oversized = serve(|_| Some(vec![7; CONTENT.len() + 1]));
    let error = fetch_pinned(&oversized, CONTENT_HASH).unwrap_err();
    assert!(matches!(error, ModelError::TooLarge { .. }), "{error}");
}

#[test]
fn a_repository_at_a_commit_is_read_with_its_settings() {
    let hub = serve(|path| {
        let body = match path.rsplit('/').next()? {
            COMMIT => {
                "{\"sha\": \"x\", \"siblings\": [{\"rfilename\": \"README.md\"}, \
                  {\"rfilename\": \"sentence_bert_config.json\"}]}"
            }
            "sentence_bert_config.json" => "{\"max_seq_length\": 66}",
            "config.json" | "tokenizer.json" | "model.safetensors" => "some content",
            _ => return None,
        };
        Some(body.into())
    });
    let staging = tempfile::tempdir().unwrap();
    let (fetched, licence) = hub.fetch(staging.path(), "some/model", COMMIT, &mut |_| ()).unwrap();
    let Fetched::Bert { weights, max_tokens, .. } = fetched else { panic!("not of family bert") };
    assert_eq!((weights.as_slice(), max_tokens), (CONTENT, 64));
    assert!(licence.contains("some/model"));
}

#[test]
fn a_hub_that_is_down_or_silent_is_unreachable() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = Hub { endpoint: Some(format!("http://{gone}")), patience: PATIENCE };
    let error = fetch_pinned(&down, CONTENT_HASH).unwrap_err();
    assert!(matches!(error, ModelError::Unreachable { from: HUB, .. }), "{error}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
    let silent = Hub { endpoint, patience: Duration::from_millis(50) };
    let error = fetch_pinned(&silent, CONTENT_HASH).unwrap_err().to_string();
    assert!(error.contains("nothing was heard for 0.05 seconds"), "{error}");
}
