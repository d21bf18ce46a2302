//! Event files as TensorBoard reads them: TFRecord frames with scalars in protocol buffers, of which only the few fields that scalars need are written.
//!
//! A record is its length (8 bytes, little-endian), the masked CRC-32C of those, the bytes, and the masked CRC-32C of the bytes. See `record_writer.cc`,
//! `event.proto` and `summary.proto` of TensorFlow.

use std::collections::BTreeMap;

use super::measured::Measured;

/// What the file is called: TensorBoard looks for `tfevents` in the name.
pub(crate) const FILE: &str = "events.out.tfevents.0.covey";
/// Virtual time begins here in TensorBoard's axis of wall time: 2026-01-01 UTC.
const START_S: f64 = 1_767_225_600.0;

/// One file for each seed.
pub(crate) fn files(measured: &Measured<'_>) -> BTreeMap<u64, Vec<u8>> {
    let mut files: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for of in measured.rounds() {
        let values = [
            ("quality", of.quality),
            ("worst_decile", of.worst_decile),
            ("peers_quality", of.peers_quality),
            ("loss", of.loss),
            ("norm", of.norm),
            ("clipped", of.clipped),
            ("epsilon", of.epsilon),
            ("attack", of.attack),
            ("refusals", Some(f64::from(of.refusals())).filter(|_| of.exposed.is_some())),
            ("opened", of.opened.map(f64::from)),
            ("exposed", of.exposed.map(f64::from)),
            ("cohort", Some(f64::from(of.cohort))),
            ("survivors", Some(f64::from(of.survivors))),
            ("attempts", Some(f64::from(of.attempts))),
            ("failed", Some(if of.failed.is_some() { 1.0 } else { 0.0 })),
            ("bytes/up", Some(of.up_bytes as f64)),
            ("bytes/down", Some(of.down_bytes as f64)),
            ("bytes/most_up", Some(of.most_up_bytes as f64)),
            ("bytes/most_down", Some(of.most_down_bytes as f64)),
        ];
        let values = values.map(|(name, value)| (format!("round/{name}"), value)).into_iter();
        let phases =
            of.phases_s.iter().map(|(phase, took)| (format!("phase_s/{phase}"), Some(*took)));
        let file = files.entry(of.seed).or_insert_with(begin);
        record(file, &scalars(of.at_s, of.round, values.chain(phases)));
    }
    for of in measured.searches() {
        let values = [
            ("questions", Some(of.questions as f64)),
            ("asked", Some(of.asked as f64)),
            ("answered", Some(of.answered as f64)),
            ("refused", Some(of.refused as f64)),
            ("timed_out", Some(of.timed_out as f64)),
            ("offline", Some(of.offline as f64)),
            ("recall", of.recall),
            ("p50_ms", Some(of.p50_ms)),
            ("p95_ms", Some(of.p95_ms)),
            ("bytes", Some(of.bytes as f64)),
            ("attack", of.attack),
            ("harvested", of.harvested),
        ];
        let values = values.map(|(name, value)| (format!("search/{name}"), value)).into_iter();
        let file = files.entry(of.seed).or_insert_with(begin);
        record(file, &scalars(of.at_s, of.hour, values));
    }
    files
}

/// The record that every file begins with: `Event { wall_time = 1, file_version = 3 }`.
fn begin() -> Vec<u8> {
    let mut event = Vec::new();
    double(&mut event, 1, START_S);
    bytes(&mut event, 3, b"brain.Event:2");
    let mut file = Vec::new();
    record(&mut file, &event);
    file
}

/// `Event { wall_time = 1, step = 2, summary = 5 }` with `Summary { value = 1 }` for each scalar.
fn scalars(at_s: f64, step: u32, values: impl Iterator<Item = (String, Option<f64>)>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values.filter_map(|(tag, value)| Some((tag, value?))) {
        let mut scalar = Vec::new();
        bytes(&mut scalar, 1, tag.as_bytes());
        key(&mut scalar, 2, 5);
        scalar.extend((value as f32).to_le_bytes());
        bytes(&mut summary, 1, &scalar);
    }
    let mut event = Vec::new();
    double(&mut event, 1, START_S + at_s);
    key(&mut event, 2, 0);
    varint(&mut event, u64::from(step));
    bytes(&mut event, 5, &summary);
    event
}

fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    key(out, field, 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn record(file: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked(&length).to_le_bytes());
    file.extend(data);
    file.extend(masked(data).to_le_bytes());
}

/// A checksum as TFRecord stores it, so that one over data with checksums in it is no fixed point.
fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli).
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metric, RoundMetric, SearchMetric};

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        let ascending: Vec<u8> = (0..32).collect();
        for (data, crc) in [
            (&b"123456789"[..], 0xe306_9283),
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
        ] {
            assert_eq!(crc32c(data), crc, "{data:?}");
        }
        assert_eq!(masked(b""), 0xa282_ead8);
    }

    /// Frames of a file, their checksums looked at.
    fn frames(mut file: &[u8]) -> Vec<&[u8]> {
        let mut frames = Vec::new();
        while !file.is_empty() {
            let (head, rest) = file.split_at(12);
            let length = u64::from_le_bytes(head[..8].try_into().expect("eight bytes")) as usize;
            assert_eq!(masked(&head[..8]).to_le_bytes(), head[8..]);
            let (data, rest) = rest.split_at(length);
            let (check, rest) = rest.split_at(4);
            assert_eq!(masked(data).to_le_bytes(), check);
            frames.push(data);
            file = rest;
        }
        frames
    }

    /// A message's fields: numbers as they are, bytes as they are.
    fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn number(message: &mut &[u8]) -> u64 {
            let end = message.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1;
            let (bytes, rest) = message.split_at(end);
            *message = rest;
            bytes.iter().rev().fold(0, |all, byte| all << 7 | u64::from(byte & 0x7f))
        }
        let mut fields = Vec::new();
        while !message.is_empty() {
            let key = number(&mut message);
            let length = match key & 7 {
                0 => {
                    fields.push((key >> 3, number(&mut message).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => number(&mut message) as usize,
                5 => 4,
                wire => panic!("wire type {wire}"),
            };
            let (value, rest) = message.split_at(length);
            fields.push((key >> 3, value.to_vec()));
            message = rest;
        }
        fields
    }

    #[test]
    fn files_read_back() {
        let round = RoundMetric {
            seed: 3,
            round: 300,
            at_s: 12.5,
            quality: Some(0.5),
            phases_s: [("training".to_owned(), 2.0)].into(),
            ..RoundMetric::default()
        };
        let search =
            SearchMetric { seed: 3, hour: 1, recall: Some(0.25), ..SearchMetric::default() };
        let metrics = [Metric::Round(round), Metric::Search(search)];
        let files = files(&Measured::of(&metrics));
        assert_eq!(files.keys().collect::<Vec<_>>(), [&3]);
        let frames = frames(&files[&3]);
        assert_eq!(frames.len(), 3);
        let head = fields(frames[0]);
        assert_eq!(head[1], (3, b"brain.Event:2".to_vec()));
        let event = fields(frames[1]);
        assert_eq!(event[0], (1, (START_S + 12.5).to_le_bytes().to_vec()));
        assert_eq!(event[1], (2, 300u64.to_le_bytes().to_vec()));
        let scalar = |frame: &[u8], tag: &str| {
            let summary = fields(frame).into_iter().find(|(field, _)| *field == 5)?;
            let values = fields(&summary.1).into_iter().map(|(_, value)| fields(&value));
            let mut values = values.filter(|value| value[0].1 == tag.as_bytes());
            values.next().map(|value| f32::from_le_bytes(value[1].1[..].try_into().expect("f32")))
        };
        assert_eq!(scalar(frames[1], "round/quality"), Some(0.5));
        assert_eq!(scalar(frames[1], "phase_s/training"), Some(2.0));
        assert_eq!(scalar(frames[1], "round/loss"), None);
        assert_eq!(scalar(frames[2], "search/recall"), Some(0.25));
    }
}
