use super::super::draft::Section;
use super::*;

fn read_mail(bytes: &[u8]) -> (String, Vec<Section>) {
    let mut draft = Draft::new();
    one(bytes, &mut draft).expect("is a mail");
    draft.finish()
}

const MAIL: &str = "From: =?utf-8?q?Ad=C3=A9?= <ada@example.org>\r\nTo: Bob <bob@example.org>, carl@example.org\r\n\
    Subject: Honey\r\n harvest\r\nDate: Wed, 01 May 2024 10:30:00 +0200\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n\
    --c\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    caf=E9 in plain\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>in html</p>\r\n--c--\r\n\
    --b\r\nContent-Type: application/pdf; name=list.pdf\r\nContent-Disposition: attachment; filename=list.pdf\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n";

#[test]
fn a_mail_is_its_subject_and_text_with_facts() {
    let (text, sections) = read_mail(MAIL.as_bytes());
    assert_eq!(text.trim_end(), "Honey harvest\n\ncafé in plain");
    assert_eq!(sections.len(), 1);
    assert_eq!(sections[0].title, "Honey harvest");
    let got: Vec<_> = sections[0].attributes.iter().collect();
    let expected = [
        ("attachment", "list.pdf"),
        ("author", "Adé"),
        ("author", "ada@example.org"),
        ("date", "2024-05-01T08:30:00Z"),
        ("from", "Adé"),
        ("from", "ada@example.org"),
        ("title", "Honey harvest"),
        ("to", "Bob"),
        ("to", "bob@example.org"),
        ("to", "carl@example.org"),
    ];
    assert_eq!(got, expected);
}

#[test]
fn markup_is_read_where_there_is_no_plain_text_and_forwarded_mail_too() {
    let markup =
        "Subject: s\nContent-Type: text/html\n\n<style>x</style><h1>Hi</h1><p>there &amp; here";
    let (text, sections) = read_mail(markup.as_bytes());
    assert_eq!((text.trim_end(), sections.len()), ("s\n\nHi\n\nthere & here", 1));
    let forward = "Subject: fw\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nlook:\n--b\n\
        Content-Type: message/rfc822\n\nSubject: inner\n\nold news\n--b--\n";
    assert_eq!(read_mail(forward.as_bytes()).0.trim_end(), "fw\n\nlook:\n\ninner\n\nold news");
}

/// The parser loses count of such parts, and says so with an assertion that is not to be built.
#[test]
fn a_mail_that_forwards_a_mail_that_forwards_one_is_read() {
    let mail = "Subject: s\nContent-Type: multipart/mixed; boundary=y\n\n--y\nContent-Type: message/rfc822\n\n\
        Content-Type: message/rfc822\n\nSubject: in\n\nbody\n--y--\n";
    assert_eq!(read_mail(mail.as_bytes()).0.trim_end(), "s\n\nin\n\nbody");
}

#[test]
fn an_mbox_is_its_mails() {
    let mbox = "From a@b Mon\nSubject: one\n\nfirst\nFrom here\n>From there\n\nFrom c@d Tue\n\
        Subject: two\n\nsecond\n\nFrom broken\n\nFrom e@f Wed\nSubject: three\n\nthird\n";
    let mut draft = Draft::new();
    many(mbox.as_bytes(), &mut draft).expect("is an mbox");
    let (text, sections) = draft.finish();
    let got: Vec<(&str, &str)> =
        sections.iter().map(|s| (s.title.as_str(), text[s.range.clone()].trim_end())).collect();
    let expected = [
        ("one", "one\n\nfirst\nFrom here\nFrom there"),
        ("two", "two\n\nsecond"),
        ("three", "three\n\nthird"),
    ];
    assert_eq!(got, expected);
}

#[test]
fn mails_nested_without_end_are_a_reason() {
    let deep = "Content-Type: message/rfc822\n\n".repeat(100_000);
    let got = one(deep.as_bytes(), &mut Draft::new());
    assert_eq!(got, Err(SkipReason::ExtractionFailed("the mail has too many parts".into())));
    // As many as are allowed neither overflow the stack nor take long.
    let deep = "Subject: x\nContent-Type: message/rfc822\n\n".repeat(MAX_PARTS) + "\nend";
    one(deep.as_bytes(), &mut Draft::new()).expect("is read");
    let parts: String = (0..MAX_PARTS)
        .map(|i| format!("Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n"))
        .collect();
    let wide = parts + &"text\n".repeat(10_000);
    one(wide.as_bytes(), &mut Draft::new()).expect("is read");
}
