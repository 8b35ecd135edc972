//! A server on this machine: cut connections, ranges, refusals; hostile archives.

use super::*;
use flate2::{Compression, write::GzEncoder};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use tar::{EntryType, Header};
use zip::write::SimpleFileOptions;

const SMALL: Archive = Archive { path: "99/small.tar.gz", provides: "set", md5: None };

/// What a test server does with one connection.
enum Reply {
    /// All that was asked for, but the connection ends after so many bytes of the body.
    Serve {
        bytes: usize,
    },
    /// The whole file, whatever range was asked for.
    IgnoreRange,
    Status(&'static str),
}

/// Answers one connection per reply; returns the address and the ranges that were asked for.
fn serve(content: Vec<u8>, replies: Vec<Reply>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    std::thread::spawn(move || {
        for reply in replies {
            let (mut connection, _) = listener.accept().unwrap();
            let mut range = String::new();
            for line in BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok) {
                let line = line.to_lowercase();
                if let Some(value) = line.strip_prefix("range: bytes=") {
                    range = value.trim().to_owned();
                }
                if line.is_empty() {
                    break;
                }
            }
            log.lock().unwrap().push(range.clone());
            let total = content.len();
            let start = range.trim_end_matches('-').parse::<usize>().ok();
            let (head, body) = match (reply, start) {
                (Reply::Status(status), _) => {
                    (format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n"), &[][..])
                }
                (Reply::Serve { .. }, Some(start)) if start >= total => (
                    format!(
                        "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\n"
                    ),
                    &[][..],
                ),
                (Reply::Serve { bytes }, Some(start)) => (
                    format!(
                        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}\r\nContent-Length: {}\r\n",
                        total - 1,
                        total - start
                    ),
                    &content[start..total.min(start.saturating_add(bytes))],
                ),
                (Reply::Serve { bytes }, None) => {
                    (format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n"), &content[..total.min(bytes)])
                }
                (Reply::IgnoreRange, _) => {
                    (format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n"), &content[..])
                }
            };
            // A client may have gone away.
            write!(connection, "{head}Connection: close\r\n\r\n")
                .and_then(|()| connection.write_all(body))
                .ok();
        }
    });
    (base, asked)
}

fn mirror(base: &str) -> Mirror {
    let agent = Agent::config_builder().http_status_as_error(false).proxy(None).build();
    let limits = archive::Limits { max_file_bytes: 10_000, max_total_bytes: 20_000, max_members: 8 };
    Mirror { base: base.to_owned(), agent: agent.into(), pause: Duration::from_millis(1), limits }
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

/// A member with any name and kind, which the tar builder would refuse to write.
fn member(name: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Name, kind, content.
type Member<'a> = (&'a str, EntryType, &'a [u8]);

fn archive_of(members: &[Member<'_>]) -> Vec<u8> {
    let mut tar: Vec<u8> =
        members.iter().flat_map(|&(name, kind, content)| member(name, kind, content)).collect();
    tar.extend([0; 1024]);
    gzip(&tar)
}

/// Incompressible, so that the archive can be cut in the middle of it.
fn noise() -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"noise");
    let mut bytes = vec![0; 9000];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn good() -> Vec<u8> {
    archive_of(&[
        ("top/", EntryType::Directory, b""),
        ("top/README.TXT", EntryType::Regular, b"read me"),
        ("top/set/a/x.bin", EntryType::Regular, &noise()),
        ("elsewhere/y", EntryType::Regular, b"not of the corpus"),
    ])
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Fetches `content` under these replies: what is in the folder, the ranges asked for, the result.
fn fetched(
    content: Vec<u8>,
    replies: Vec<Reply>,
    part: &[u8],
) -> (tempfile::TempDir, Vec<String>, Result<Vec<String>, PrepError>) {
    let folder = tempfile::tempdir().unwrap();
    if !part.is_empty() {
        fs::write(folder.path().join("small.tar.gz.part"), part).unwrap();
    }
    let (base, asked) = serve(content, replies);
    let mut lines = Vec::new();
    let result =
        mirror(&base).fetch_missing(&[SMALL], "top", folder.path(), &mut |line| lines.push(line.to_owned()));
    let asked = asked.lock().unwrap().clone();
    (folder, asked, result.map(|()| lines))
}

fn assert_unpacked(folder: &Path) {
    assert_eq!(names(folder), ["README.TXT", "set"]);
    assert_eq!(fs::read(folder.join("set/a/x.bin")).unwrap(), noise());
}

#[test]
fn a_download_goes_on_where_the_connection_was_cut() {
    let replies =
        vec![Reply::Serve { bytes: 4000 }, Reply::Serve { bytes: 3000 }, Reply::Serve { bytes: 1 << 20 }];
    let (folder, asked, result) = fetched(good(), replies, b"");
    let lines = result.unwrap();
    assert_unpacked(folder.path());
    assert_eq!(asked, ["", "4000-", "7000-"]);
    assert!(lines.iter().filter(|line| line.contains("trying again")).count() == 2, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("100 %")), "{lines:?}");
}

#[test]
fn a_part_of_an_earlier_run_is_kept_unless_the_server_has_no_ranges_or_another_file() {
    let content = good();
    let (folder, asked, result) =
        fetched(content.clone(), vec![Reply::Serve { bytes: 1 << 20 }], &content[..5000]);
    result.unwrap();
    assert_unpacked(folder.path());
    assert_eq!(asked, ["5000-"]);

    let (folder, _, result) = fetched(content.clone(), vec![Reply::IgnoreRange], b"of another server");
    result.unwrap();
    assert_unpacked(folder.path());

    // Complete, but the program was stopped before the file got its name.
    let (folder, _, result) = fetched(content.clone(), vec![Reply::Serve { bytes: 0 }], &content);
    result.unwrap();
    assert_unpacked(folder.path());

    let longer = vec![0; content.len() + 1];
    let replies = vec![Reply::Serve { bytes: 0 }, Reply::Serve { bytes: 1 << 20 }];
    let (folder, asked, result) = fetched(content, replies, &longer);
    result.unwrap();
    assert_unpacked(folder.path());
    assert_eq!(asked[1], "");
}

#[test]
fn what_is_there_is_not_fetched_and_a_file_put_there_by_hand_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("small.tar.gz"), good()).unwrap();
    fs::write(folder.path().join("README.TXT"), "mine").unwrap();
    let nowhere = mirror("http://127.0.0.1:1");
    nowhere.fetch_missing(&[SMALL], "top", folder.path(), &mut |_| ()).unwrap();
    assert_unpacked(folder.path());
    assert_eq!(fs::read_to_string(folder.path().join("README.TXT")).unwrap(), "mine");
    nowhere.fetch_missing(&[SMALL], "top", folder.path(), &mut |line| panic!("{line}")).unwrap();
}

#[test]
fn refusals_and_no_network_name_the_address_and_the_way_by_hand() {
    let (_, asked, result) = fetched(good(), vec![Reply::Status("404 Not Found")], b"");
    let message = result.unwrap_err().to_string();
    assert!(
        message.contains("/99/small.tar.gz")
            && message.contains("404")
            && message.contains("download it yourself"),
        "{message}"
    );
    assert_eq!(asked.len(), 1, "a missing file is not asked for again");

    let busy = || Reply::Status("503 Service Unavailable");
    let (folder, _, result) = fetched(good(), vec![busy(), busy(), Reply::Serve { bytes: 1 << 20 }], b"");
    result.unwrap();
    assert_unpacked(folder.path());

    // Not a TLS server: an error like others, and no panic for want of a TLS provider.
    let (base, _) = serve(good(), vec![busy(), busy(), busy(), busy()]);
    let folder = tempfile::tempdir().unwrap();
    let secure = mirror(&base.replace("http:", "https:"));
    assert!(secure.fetch_missing(&[SMALL], "top", folder.path(), &mut |_| ()).is_err());

    let folder = tempfile::tempdir().unwrap();
    let closed = mirror("http://127.0.0.1:1");
    let message = closed.fetch_missing(&[SMALL], "top", folder.path(), &mut |_| ()).unwrap_err().to_string();
    assert!(
        message.contains("http://127.0.0.1:1/99/small.tar.gz") && message.contains("download it yourself"),
        "{message}"
    );
}

#[test]
fn archives_with_more_than_plain_files_of_the_corpus_are_refused_and_leave_nothing() {
    let large = vec![0; 10_001];
    let (plain, long) = ((EntryType::Regular, &b"x"[..]), (EntryType::Regular, &large[..]));
    let medium = vec![1; 9000];
    let cases: [(&[Member<'_>], &str); 8] = [
        (&[("top/../../escaped", plain.0, plain.1)], "outside"),
        (&[("/tmp/escaped", plain.0, plain.1)], "outside"),
        (&[("top/set/link", EntryType::Symlink, b"")], "link"),
        (&[("top/set/link", EntryType::Link, b"")], "link"),
        (&[("top/set/large", long.0, long.1)], "goes beyond"),
        (
            &[
                ("top/set/1", plain.0, &medium),
                ("top/set/2", plain.0, &medium),
                ("top/set/3", plain.0, &medium),
            ],
            "goes beyond",
        ),
        (&[("top/set/x", plain.0, plain.1), ("top/set/x", plain.0, plain.1)], "twice"),
        (&[("top/other/x", plain.0, plain.1)], "no folder set"),
    ];
    for (members, reason) in cases {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("corpus");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("small.tar.gz"), archive_of(members)).unwrap();
        let result = mirror("http://127.0.0.1:1").fetch_missing(&[SMALL], "top", &folder, &mut |_| ());
        let message = result.unwrap_err().to_string();
        assert!(message.contains(reason) && message.contains("small.tar.gz"), "{reason}: {message}");
        assert_eq!(names(&folder), ["small.tar.gz"]);
        assert_eq!(names(outer.path()), ["corpus"]);
    }
}

#[test]
fn an_archive_without_its_published_check_sum_is_not_unpacked() {
    let md5 = md5::md5(good().as_slice()).unwrap();
    let md5: &'static str = Box::leak(md5.into_boxed_str());
    for (published, is_good) in [(md5, true), ("d41d8cd98f00b204e9800998ecf8427e", false)] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("small.tar.gz"), good()).unwrap();
        let archive = Archive::new("99/small.tar.gz", "set", published);
        let nowhere = mirror("http://127.0.0.1:1");
        match nowhere.fetch_missing(&[archive], "top", folder.path(), &mut |_| ()) {
            Ok(()) => assert!(is_good),
            Err(error) => {
                assert!(!is_good && error.to_string().contains(md5), "{error}");
                assert_eq!(names(folder.path()), ["small.tar.gz"]);
            }
        }
    }
}

#[test]
fn damaged_archives_are_refused_wherever_they_are_damaged() {
    let content = good();
    let mut flipped = content.clone();
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 1;
    for damaged in [&content[..content.len() / 2], &content[..content.len() - 1], &flipped] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("small.tar.gz"), damaged).unwrap();
        let result = mirror("http://127.0.0.1:1").fetch_missing(&[SMALL], "top", folder.path(), &mut |_| ());
        let message = result.unwrap_err().to_string();
        assert!(message.contains("damaged or cut"), "{message}");
        assert_eq!(names(folder.path()), ["small.tar.gz"]);
    }
}

fn zip_of(members: &[(&str, &[u8])], link: bool) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, content) in members {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    if link {
        writer.add_symlink("top/set/link", "/etc", options).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn zip_archives_are_held_to_the_same_rules() {
    let zipped = Archive { path: "99/small.zip", provides: "set", md5: None };
    let content = noise();
    let good: &[(&str, &[u8])] = &[("top/README.TXT", b"read me"), ("top/set/a/x.bin", &content)];
    let mut flipped = zip_of(good, false);
    flipped[4000] ^= 1;
    let cases = [
        (zip_of(good, false), None),
        (zip_of(good, true), Some("link")),
        (zip_of(&[("top/../../escaped", b"x")], false), Some("outside")),
        (flipped, Some("damaged")),
    ];
    for (bytes, refused) in cases {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("small.zip"), bytes).unwrap();
        let result = mirror("http://127.0.0.1:1").fetch_missing(
            std::slice::from_ref(&zipped),
            "top",
            folder.path(),
            &mut |_| (),
        );
        match (result, refused) {
            (Ok(()), None) => assert_unpacked(folder.path()),
            (Err(e), Some(reason)) => assert!(e.to_string().contains(reason), "{reason}: {e}"),
            (result, _) => panic!("{refused:?}: {result:?}"),
        }
    }
}
