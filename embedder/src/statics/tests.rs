use super::*;

fn toy() -> StaticParts {
    StaticParts {
        about: StaticAbout { name: "toy".into(), licence: "MIT".into(), teacher: "none".into() },
        root_weights: [7; 32],
        dim: 2,
        max_tokens: 4,
        vocabulary: ["red", "blue", "##ish"].map(String::from).to_vec(),
        scales: vec![0.5, 1.0, 0.25],
        bits: Bits::WHOLE,
        rows: Cow::Owned([4_i8, 0, 0, -3, 8, 8].map(i8::cast_unsigned).to_vec()),
    }
}

#[test]
fn a_text_is_the_normalised_weighted_sum_of_its_tokens() {
    let model = StaticModel::new(toy()).unwrap();
    let check = |text: &str, expected: [f32; 2]| {
        let got = model.embed(&[text]).unwrap();
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{text}: {got:?}");
    };
    check("red", [1.0, 0.0]);
    check("Blue!", [0.0, -1.0]);
    check("reddish", [0.0, 0.0]);
    check("redish", [4.0 / 20_f32.sqrt(), 2.0 / 20_f32.sqrt()]);
    check("", [0.0, 0.0]);
    check("unheard of", [0.0, 0.0]);
    // Only max_tokens count, and unknown words use them up.
    check("red red red red blue", [1.0, 0.0]);
    check("who who who blue red", [0.0, -1.0]);
}

fn packed() -> StaticParts {
    StaticParts { bits: Bits::new(5).unwrap(), ..toy() }
}

#[test]
fn bytes_round_trip_and_keep_the_id() {
    for (parts, version) in [(toy(), 1), (packed(), 2)] {
        let model = StaticModel::new(parts).unwrap();
        let bytes = model.to_bytes().unwrap();
        assert_eq!(bytes[8], version);
        let again = StaticModel::from_bytes(&bytes).unwrap();
        assert_eq!(again.parts(), model.parts());
        assert_eq!(again.id(), model.id());
        assert_eq!(again.to_bytes().unwrap(), bytes);
    }
}

#[test]
fn how_rows_are_stored_is_no_part_of_the_id() {
    let [whole, packed] = [toy(), packed()].map(|parts| StaticModel::new(parts).unwrap());
    assert_eq!(whole.id(), packed.id());
    assert_eq!(whole.embed(&["redish blue"]).unwrap(), packed.embed(&["redish blue"]).unwrap());
    // Six entries of 5 bits take 4 bytes, and a header of version 2 has a number more.
    let lengths = [&whole, &packed].map(|model| model.to_bytes().unwrap().len());
    assert_eq!(lengths[1], lengths[0] - 6 + 4 + 4);
}

#[test]
fn packed_files_are_checked() {
    let bytes = StaticModel::new(packed()).unwrap().to_bytes().unwrap();
    // With a right checksum, so that what comes after it is reached.
    let signed = |change: &dyn Fn(&mut [u8])| {
        let mut content = bytes[..bytes.len() - 32].to_vec();
        change(&mut content);
        let checksum = sha256(&content);
        StaticModel::from_bytes(&[content, checksum.to_vec()].concat()).err()
    };
    assert!(signed(&|_| {}).is_none());
    for bits in [0, 1, 6, 8, 9, 255] {
        let refused = signed(&|content| content[32] = bits);
        assert!(matches!(refused, Some(FormatError::Length(_))), "{bits} bits");
    }
    let spare = signed(&|content| *content.last_mut().unwrap() |= 0x80);
    assert!(matches!(spare, Some(FormatError::Length("bits after the last row are not zero"))));
}

#[test]
fn ids_follow_the_content_and_not_the_description() {
    let id = |change: &dyn Fn(&mut StaticParts)| {
        let mut parts = toy();
        change(&mut parts);
        StaticModel::new(parts).unwrap().id()
    };
    let original = id(&|_| {});
    assert_eq!(id(&|parts| parts.about.name = "renamed".into()), original);
    let trained = id(&|parts| parts.rows.to_mut()[0] ^= 1);
    assert_eq!(trained.base, original.base);
    assert_ne!(trained.release, original.release);
    let reweighted = id(&|parts| parts.scales[0] = 0.75);
    assert_eq!(reweighted.base, original.base);
    assert_ne!(reweighted.release, original.release);
    let stranger = id(&|parts| parts.root_weights = [8; 32]);
    assert_ne!(stranger.base, original.base);
    let other_words = id(&|parts| parts.vocabulary[0] = "green".into());
    assert_ne!(other_words.base, original.base);
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let bytes = StaticModel::new(toy()).unwrap().to_bytes().unwrap();
    let packed = StaticModel::new(packed()).unwrap().to_bytes().unwrap();
    for bytes in [bytes, packed] {
        for length in 0..bytes.len() {
            assert!(StaticModel::from_bytes(&bytes[..length]).is_err(), "cut to {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(StaticModel::from_bytes(&damaged).is_err(), "bit {bit}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(StaticModel::from_bytes(&longer).is_err());
    }
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let refused = |change: &dyn Fn(&mut StaticParts)| {
        let mut parts = toy();
        change(&mut parts);
        StaticModel::new(parts).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refused(&|_| {}), "");
    assert!(refused(&|parts| parts.dim = 0).contains("dimensions"));
    assert!(refused(&|parts| parts.max_tokens = 0).contains("token limit"));
    assert!(refused(&|parts| parts.scales.truncate(2)).contains("scales"));
    assert!(refused(&|parts| parts.rows.to_mut().truncate(5)).contains("rows"));
    assert!(refused(&|parts| parts.bits = Bits::new(4).unwrap()).contains("token 2"));
    assert!(refused(&|parts| parts.scales[1] = f32::NAN).contains("token 1"));
    assert!(refused(&|parts| parts.scales[2] = -1.0).contains("token 2"));
    assert!(refused(&|parts| parts.vocabulary[1] = "red".into()).contains("repeated"));
    assert!(refused(&|parts| parts.vocabulary[1] = String::new()).contains("empty"));
    assert!(refused(&|parts| parts.vocabulary[1] = "a\nb".into()).contains("broken"));
}

#[test]
fn version_and_magic_are_told_apart() {
    let bytes = StaticModel::new(toy()).unwrap().to_bytes().unwrap();
    let mut newer = bytes.clone();
    newer[8] = 3;
    assert!(matches!(StaticModel::from_bytes(&newer), Err(FormatError::Version(3))));
    assert!(matches!(StaticModel::from_bytes(b"\x89PNG\r\n\x1a\nrest"), Err(FormatError::Magic)));
    assert!(matches!(StaticModel::from_bytes(b""), Err(FormatError::Magic)));
}
