use super::*;
use crate::{Embedder, ModelId};

const BERT: Shape = Shape::Bert { width: 8, inner: 16, layers: 2 };
const TABLE: Shape = Shape::Static { dim: 6, tokens: 10 };

fn lora(rank: usize, freeze_a: bool) -> AdapterConfig {
    let targets = vec![Target::Query, Target::Value, Target::Up];
    AdapterConfig::Lora(LoraConfig { rank, alpha: 4.0, targets, freeze_a, seed: 7 })
}

fn head(rank: Option<usize>, token_weights: bool) -> AdapterConfig {
    AdapterConfig::Head(HeadConfig { rank, token_weights, ..HeadConfig::default() })
}

fn id() -> ModelId {
    ModelId { base: [1; 32], release: [2; 32] }
}

/// One of every kind, with values that differ everywhere.
fn all() -> Vec<Adapter> {
    let configs = [
        (lora(2, false), BERT),
        (lora(3, true), BERT),
        (head(None, false), TABLE),
        (head(Some(2), true), TABLE),
    ];
    let make = |(config, shape): (AdapterConfig, Shape)| {
        let count = config.layout(&shape).unwrap().len();
        let values = (0..count).map(|i| (i as f32 * 0.7).sin()).collect();
        Adapter::with_values(config, shape, values).unwrap()
    };
    configs.map(make).into()
}

#[test]
fn tensors_follow_each_other_layer_by_layer() {
    let layout = lora(2, false).layout(&BERT).unwrap();
    let names: Vec<&str> = layout.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(
        names[..6],
        [
            "encoder.layer.0.attention.self.query.lora_A",
            "encoder.layer.0.attention.self.query.lora_B",
            "encoder.layer.0.attention.self.value.lora_A",
            "encoder.layer.0.attention.self.value.lora_B",
            "encoder.layer.0.intermediate.dense.lora_A",
            "encoder.layer.0.intermediate.dense.lora_B",
        ]
    );
    assert_eq!(names[6], "encoder.layer.1.attention.self.query.lora_A");
    // Two of 2 x 8 + 8 x 2 and one of 2 x 8 + 16 x 2 a layer.
    assert_eq!(layout.len(), 2 * (2 * 32 + 48));
    let ends = layout.tensors().iter().map(|tensor| tensor.range.clone());
    assert_eq!(ends.fold(0, |end, range| if range.start == end { range.end } else { 0 }), 224);
    assert_eq!(lora(2, true).layout(&BERT).unwrap().len(), 2 * (16 + 16 + 32));
    assert_eq!(head(None, true).layout(&TABLE).unwrap().len(), 36 + 10);
    assert_eq!(head(Some(1), false).layout(&TABLE).unwrap().len(), 12);
}

#[test]
fn what_does_not_fit_is_refused() {
    let error = |config: AdapterConfig, shape| config.layout(shape).unwrap_err();
    assert_eq!(error(lora(0, false), &BERT), AdapterError::Rank { rank: 0, most: 8 });
    assert_eq!(error(lora(9, false), &BERT), AdapterError::Rank { rank: 9, most: 8 });
    assert_eq!(error(head(Some(7), false), &TABLE), AdapterError::Rank { rank: 7, most: 6 });
    assert!(matches!(error(lora(2, false), &TABLE), AdapterError::Family { wanted: "bert", .. }));
    assert!(matches!(error(head(None, false), &BERT), AdapterError::Family { found: "bert", .. }));
    let with = |alpha, targets| {
        AdapterConfig::Lora(LoraConfig { alpha, targets, ..LoraConfig::default() })
    };
    for alpha in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(error(with(alpha, vec![Target::Key]), &BERT), AdapterError::Alpha);
    }
    for targets in [vec![], vec![Target::Key, Target::Key], vec![Target::Value, Target::Query]] {
        assert_eq!(error(with(1.0, targets), &BERT), AdapterError::Targets);
    }
    let values = |values| Adapter::with_values(head(Some(1), false), TABLE, values).unwrap_err();
    assert_eq!(values(vec![0.0; 11]), AdapterError::Length { found: 11, expected: 12 });
    let mut broken = vec![0.0; 12];
    broken[5] = f32::NAN;
    assert_eq!(values(broken), AdapterError::NotFinite(5));
}

#[test]
fn a_fresh_adapter_changes_nothing() {
    for (config, shape) in [(lora(2, false), BERT), (lora(2, true), BERT)] {
        let adapter = Adapter::new(config, shape).unwrap();
        let mut weight = vec![0.5; 64];
        adapter.add_to("encoder.layer.0.attention.self.query", &mut weight);
        assert_eq!(weight, vec![0.5; 64]);
    }
    let map = Adapter::new(head(Some(3), true), TABLE).unwrap().map();
    for (place, x) in map.iter().enumerate() {
        assert_eq!(*x, if place % 7 == 0 { 1.0 } else { 0.0 });
    }
}

#[test]
fn a_frozen_factor_is_the_same_everywhere() {
    let place = &lora(2, true).places(&BERT)[0];
    let a = lora(2, true).low_rank().unwrap().draw_a(0, place);
    // Of ChaCha12 with seed 7, for other implementations: the first eight of layer 0's query.
    let expected: [f32; 8] = FIRST_OF_A;
    assert_eq!(a[..8], expected);
    assert!(a.iter().all(|x| x.abs() <= 1.0 / 8f32.sqrt()));
    let other = lora(2, true).low_rank().unwrap().draw_a(1, place);
    assert_ne!(a, other, "each projection has its own");
}

const FIRST_OF_A: [f32; 8] = [
    -0.058_943_756,
    -0.332_115_8,
    -0.252_753,
    -0.136_410_64,
    -0.310_613_66,
    -0.252_690_17,
    0.107_373_98,
    0.030_064_19,
];

#[test]
fn files_bring_everything_back_and_equal_adapters_equal_bytes() {
    for adapter in all() {
        let bytes = adapter.to_bytes(id()).unwrap();
        assert_eq!(bytes, adapter.clone().to_bytes(id()).unwrap());
        let back = Adapter::from_bytes(&bytes, id(), adapter.shape().clone()).unwrap();
        assert_eq!(back, adapter);
    }
}

#[test]
fn damaged_files_and_those_of_other_models_are_errors() {
    let adapter = &all()[0];
    let bytes = adapter.to_bytes(id()).unwrap();
    let read = |bytes: &[u8]| Adapter::from_bytes(bytes, id(), BERT);
    for cut in [0, 1, 7, 8, 9, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(read(&bytes[..cut]).is_err(), "cut to {cut}");
    }
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
    for at in 0..header {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x11;
        let _ = read(&damaged);
    }
    let mut infinite = bytes.clone();
    infinite[header..header + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert!(matches!(read(&infinite), Err(AdapterFileError::Adapter(AdapterError::NotFinite(0)))));
    let stranger = ModelId { release: [3; 32], ..id() };
    let error = Adapter::from_bytes(&bytes, stranger, BERT).unwrap_err();
    assert!(matches!(error, AdapterFileError::Base { .. }), "{error}");
    // The same with a few blanks more in its header would be another model by its hash.
    let blanks = [&bytes[8..header], b"        "].concat();
    let length = (blanks.len() as u64).to_le_bytes();
    let longer = [&length[..], &blanks, &bytes[header..]].concat();
    assert!(matches!(read(&longer), Err(AdapterFileError::NotCanonical)));
    let narrower = Shape::Bert { width: 4, inner: 16, layers: 2 };
    assert!(Adapter::from_bytes(&bytes, id(), narrower).is_err());
    let shallower = Shape::Bert { width: 8, inner: 16, layers: 1 };
    let error = Adapter::from_bytes(&bytes, id(), shallower).unwrap_err();
    assert!(matches!(error, AdapterFileError::Count { .. }), "{error}");
}

#[test]
fn peft_finds_every_factor_under_its_own_name() {
    let adapters = all();
    let files = adapters[1].to_peft("some/model").unwrap().unwrap();
    let config: serde_json::Value = serde_json::from_slice(&files.config).unwrap();
    assert_eq!((&config["r"], &config["lora_alpha"]), (&3.into(), &4.0.into()));
    assert_eq!(
        config["target_modules"],
        r"(.*\.)?encoder\.layer\.\d+\.(attention\.self\.query|attention\.self\.value|intermediate\.dense)"
    );
    let file = safetensors::SafeTensors::deserialize(&files.weights).unwrap();
    assert_eq!(file.len(), 2 * 3 * 2, "frozen factors are written too");
    let name = "base_model.model.encoder.layer.1.intermediate.dense.lora_B.weight";
    assert_eq!(file.tensor(name).unwrap().shape(), [16, 3]);
    let name = "base_model.model.encoder.layer.1.intermediate.dense.lora_A.weight";
    assert_eq!(file.tensor(name).unwrap().shape(), [3, 8]);
    assert!(adapters[2].to_peft("some/model").unwrap().is_none(), "it has no heads");
}

#[test]
fn a_static_model_takes_its_adapter_in() {
    let model = crate::distill(
        &crate::bert::tests::toy(),
        &crate::DistillOptions { dim: 4, ..crate::DistillOptions::default() },
        &mut |_, _| (),
    )
    .unwrap();
    let config = head(Some(2), true);
    let count = config.layout(&model.shape()).unwrap().len();
    let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.9).sin()).collect();
    let adapter = Adapter::with_values(config, model.shape(), values).unwrap();
    let adapted = model.adapted(&adapter, "tuned").unwrap();
    assert_eq!(adapted.name(), "tuned");
    assert_eq!(adapted.id().base, model.id().base);
    assert_ne!(adapted.id().release, model.id().release);
    // What the map makes of the rows, weighted: a text of one token points the same way.
    let (text, token) = ("c", 2);
    let row: Vec<f32> = model.parts().rows[token * 4..][..4]
        .iter()
        .map(|byte| f32::from(byte.cast_signed()))
        .collect();
    let map = adapter.map();
    let mapped: Vec<f32> =
        map.chunks(4).map(|map| map.iter().zip(&row).map(|(m, x)| m * x).sum()).collect();
    let found = adapted.embed(&[text]).unwrap();
    let dot: f32 = found.iter().zip(&mapped).map(|(a, b)| a * b).sum();
    let length = mapped.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(dot / length > 0.9999, "{dot} of {length}");
    let other = Adapter::new(head(None, false), TABLE).unwrap();
    assert!(model.adapted(&other, "wrong").is_err());
}
