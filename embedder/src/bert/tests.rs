use std::collections::BTreeMap;

use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use super::runner::BATCH_ROWS;
use super::weights::Weights;
use super::*;
use crate::kernels::{Level, Numbers};

const HIDDEN: usize = 8;
const INNER: usize = 16;
pub(super) const VOCAB: usize = 12;
const POSITIONS: usize = 10;

fn config() -> serde_json::Value {
    json!({
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": HIDDEN,
        "intermediate_size": INNER, "num_attention_heads": 2, "num_hidden_layers": 2,
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "vocab_size": VOCAB,
        "layer_norm_eps": 1e-12,
    })
}

fn tokenizer() -> Vec<u8> {
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e", "f", "##a", "##b"];
    let vocab: BTreeMap<&str, usize> = words.iter().enumerate().map(|(i, w)| (*w, i)).collect();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 3}, "direction": "Right", "pad_to_multiple_of": null,
                    "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab},
    });
    tokenizer.to_string().into_bytes()
}

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Weights that differ everywhere, from a fixed formula.
fn tensors() -> Tensors {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![VOCAB, HIDDEN]),
        ("embeddings.position_embeddings.weight".into(), vec![POSITIONS, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, HIDDEN]),
        ("embeddings.LayerNorm.weight".into(), vec![HIDDEN]),
        ("embeddings.LayerNorm.bias".into(), vec![HIDDEN]),
    ];
    for layer in 0..2 {
        let parts = [
            ("attention.self.query", vec![HIDDEN, HIDDEN]),
            ("attention.self.key", vec![HIDDEN, HIDDEN]),
            ("attention.self.value", vec![HIDDEN, HIDDEN]),
            ("attention.output.dense", vec![HIDDEN, HIDDEN]),
            ("attention.output.LayerNorm", vec![HIDDEN]),
            ("intermediate.dense", vec![INNER, HIDDEN]),
            ("output.dense", vec![HIDDEN, INNER]),
            ("output.LayerNorm", vec![HIDDEN]),
        ];
        for (part, shape) in parts {
            let at = format!("encoder.layer.{layer}.{part}");
            shapes.push((format!("{at}.bias"), vec![shape[0]]));
            shapes.push((format!("{at}.weight"), shape));
        }
    }
    let fill = |(number, (name, shape)): (usize, (String, Vec<usize>))| {
        let count = shape.iter().product();
        // Far from any pattern, as with one (such as a sine) all texts would come out nearly alike.
        let value = |i: usize| {
            let mixed = ((i * 97 + number) as u32).wrapping_mul(0x9e37_79b1);
            let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca77);
            (mixed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        // Scales near one and small shifts, or what texts share would drown what tells them apart.
        let fitted = |x: f32| match name.as_str() {
            norm if norm.ends_with("LayerNorm.weight") => 1.0 + 0.3 * x,
            bias if bias.ends_with("bias") => 0.2 * x,
            _ => x,
        };
        let values = (0..count).map(value).map(fitted).collect();
        (name, (shape, values))
    };
    shapes.into_iter().enumerate().map(fill).collect()
}

fn file(tensors: &Tensors, dtype: Dtype) -> Vec<u8> {
    let encode = |values: &[f32]| -> Vec<u8> {
        match dtype {
            Dtype::F16 => {
                values.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect()
            }
            Dtype::BF16 => {
                values.iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect()
            }
            _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    };
    let bytes: Vec<_> = tensors.iter().map(|(n, (s, v))| (n, s.clone(), encode(v))).collect();
    let views =
        bytes.iter().map(|(n, s, b)| (n.as_str(), TensorView::new(dtype, s.clone(), b).unwrap()));
    serialize(views, None).unwrap()
}

fn load(config: &serde_json::Value, weights: &[u8]) -> Result<BertModel, BertError> {
    load_with(config, weights, Precision::F32)
}

fn load_with(
    config: &serde_json::Value,
    weights: &[u8],
    precision: Precision,
) -> Result<BertModel, BertError> {
    load_adapted(config, weights, precision, None)
}

fn load_adapted(
    config: &serde_json::Value,
    weights: &[u8],
    precision: Precision,
    adapter: Option<&[u8]>,
) -> Result<BertModel, BertError> {
    BertModel::load(&BertFiles {
        name: "toy",
        config: config.to_string().as_bytes(),
        tokenizer: &tokenizer(),
        weights,
        max_tokens: 254,
        root_weights: None,
        precision,
        backend: Backend::cpu(),
        adapter,
    })
}

/// A model of eight dimensions and twelve tokens, eight of them words.
pub(crate) fn toy() -> BertModel {
    load(&config(), &file(&tensors(), Dtype::F32)).unwrap()
}

/// The same in these numbers, with an adapter's file beside it.
pub(crate) fn toy_with(precision: Precision, adapter: Option<&[u8]>) -> BertModel {
    load_adapted(&config(), &file(&tensors(), Dtype::F32), precision, adapter).unwrap()
}

fn close(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn the_shipped_truncation_and_padding_are_overridden() {
    let model = toy();
    assert_eq!(model.max_tokens(), POSITIONS - 2);
    assert_eq!(model.token_spans("a b c d e f").unwrap().len(), 6);
    assert_ne!(model.embed(&["a b c"]).unwrap(), model.embed(&["a b c d e f"]).unwrap());
    // Beyond the limit nothing counts.
    let long = "a b c d e f a b";
    assert_eq!(model.embed(&[long]).unwrap(), model.embed(&[&format!("{long} c d")]).unwrap());
}

#[test]
fn a_text_embeds_alike_alone_and_among_others() {
    let model = toy();
    let texts = ["a", "b c d e", "", "f f", "a b c d e f a b c d e", "c", " \n"];
    let together = model.embed(&texts).unwrap();
    for (text, row) in texts.iter().zip(together.chunks(HIDDEN)) {
        assert!(close(&model.embed(&[text]).unwrap(), row, 1e-5), "{text:?}");
        let length = row.iter().map(|x| x * x).sum::<f32>();
        let expected = if text.trim().is_empty() { 0.0 } else { 1.0 };
        assert!((length - expected).abs() < 1e-5, "{text:?} {length}");
    }
    assert_eq!(model.embed(&[]).unwrap(), Vec::<f32>::new());
}

/// Weights of odd sizes: heads longer than a panel and rows that fill none.
pub(super) fn odd_weights() -> (BertConfig, Weights) {
    let (hidden, inner) = (76, 53);
    let mut config = config();
    config["hidden_size"] = json!(hidden);
    config["intermediate_size"] = json!(inner);
    config["max_position_embeddings"] = json!(80);
    let resized = |(name, (shape, _)): (String, (Vec<usize>, Vec<f32>))| {
        let resize = |&size: &usize| match size {
            HIDDEN => hidden,
            INNER => inner,
            POSITIONS => 80,
            other => other,
        };
        let shape: Vec<usize> = shape.iter().map(resize).collect();
        let seed = name.len();
        let value = |i: usize| ((i * 31 + seed * 17) as f32 * 0.37).sin() * 0.4;
        let values = (0..shape.iter().product()).map(value).collect();
        (name, (shape, values))
    };
    let tensors = tensors().into_iter().map(resized).collect();
    let config = BertConfig::parse(config.to_string().as_bytes()).unwrap();
    let weights = weights::read(&config, &file(&tensors, Dtype::F32)).unwrap();
    (config, weights)
}

/// A model of them, and the length of its vectors.
fn odd_model(precision: Precision, level: Level) -> (Runner, usize) {
    let (config, weights) = odd_weights();
    let hidden = config.hidden_size;
    (Runner::with_level(&config, weights, precision, level), hidden)
}

#[test]
fn every_level_computes_what_the_tensor_library_does() {
    let texts: Vec<Vec<u32>> = [1, 3, 12, 13, 80, 33]
        .map(|length| (0..length).map(|i| (i * 5 % VOCAB) as u32).collect())
        .into();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let pooled = |precision, level| -> Vec<f32> {
        let (runner, hidden) = odd_model(precision, level);
        let mut pooled = runner.pooled(&texts).unwrap();
        pooled.chunks_exact_mut(hidden).for_each(normalise);
        pooled
    };
    let expected = pooled(Precision::Reference, Level::best());
    for level in Level::all() {
        let exact = pooled(Precision::F32, level);
        assert!(close(&exact, &expected, 1e-5), "{level:?}");
        for (precision, least) in [(Precision::Int16, 0.9999), (Precision::Int8, 0.999)] {
            let found = pooled(precision, level);
            let cosine: f32 = found.iter().zip(&expected).map(|(a, b)| a * b).sum();
            let cosine = cosine / texts.len() as f32;
            assert!(cosine > least, "{level:?}, {precision:?}: {cosine}");
        }
    }
}

#[test]
fn what_is_fastest_is_chosen() {
    let texts: [&[u32]; 1] = [&[2, 4, 7, 9, 3]];
    for level in Level::all() {
        let pooled = |precision| odd_model(precision, level).0.pooled(&texts).unwrap();
        let expected = match level.fastest() {
            Numbers::F32 => Precision::F32,
            Numbers::Words => Precision::Int16,
            Numbers::Bytes => Precision::Int8,
        };
        assert_eq!(pooled(Precision::Auto), pooled(expected), "{level:?}");
    }
    assert_eq!(Level::all()[0].fastest(), Numbers::F32, "where nothing is known");
}

#[test]
fn a_single_word_has_the_same_states_either_way() {
    let states = |precision| {
        let model = load_with(&config(), &file(&tensors(), Dtype::F32), precision).unwrap();
        model.token_states(&[4, 7, 11]).unwrap()
    };
    let (fast, expected) = (states(Precision::F32), states(Precision::Reference));
    for (fast, expected) in fast.iter().zip(&expected) {
        assert_eq!(fast.len(), 3 * HIDDEN);
        assert!(close(fast, expected, 1e-4), "{fast:?} {expected:?}");
    }
}

#[test]
fn the_order_of_words_matters_to_an_encoder() {
    let model = toy();
    assert!(!close(&model.embed(&["a b c"]).unwrap(), &model.embed(&["c b a"]).unwrap(), 1e-3));
}

#[test]
fn half_precision_and_prefixed_weights_load() {
    let exact = toy().embed(&["a b c"]).unwrap();
    for dtype in [Dtype::F16, Dtype::BF16] {
        let rounded = load(&config(), &file(&tensors(), dtype)).unwrap();
        assert!(close(&rounded.embed(&["a b c"]).unwrap(), &exact, 0.05), "{dtype:?}");
    }
    let prefixed = tensors().into_iter().map(|(n, t)| (format!("bert.{n}"), t)).collect();
    let prefixed = load(&config(), &file(&prefixed, Dtype::F32)).unwrap();
    assert_eq!(prefixed.embed(&["a b c"]).unwrap(), exact);
}

#[test]
fn other_weights_are_another_base_unless_the_root_is_named() {
    let original = toy();
    let mut trained = tensors();
    trained.get_mut("embeddings.LayerNorm.bias").unwrap().1[0] += 1.0;
    let weights = file(&trained, Dtype::F32);
    let stranger = load(&config(), &weights).unwrap();
    assert_ne!(stranger.id().base, original.id().base);
    let tuned = BertModel::load(&BertFiles {
        name: "tuned",
        config: config().to_string().as_bytes(),
        tokenizer: &tokenizer(),
        weights: &weights,
        max_tokens: 254,
        root_weights: Some(original.weights_hash()),
        precision: Precision::F32,
        backend: Backend::cpu(),
        adapter: None,
    })
    .unwrap();
    assert_eq!(tuned.id().base, original.id().base);
    assert_ne!(tuned.id().release, original.id().release);
}

#[test]
fn configurations_that_cannot_be_are_refused() {
    let weights = file(&tensors(), Dtype::F32);
    let check = |field: &str, value: serde_json::Value| {
        let mut config = config();
        config[field] = value;
        let error = load(&config, &weights).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(field)), "{field}: {error:?}");
    };
    check("model_type", json!("roberta"));
    check("hidden_act", json!("relu"));
    check("position_embedding_type", json!("relative_key"));
    check("hidden_size", json!(0));
    check("hidden_size", json!(1_u64 << 60));
    check("num_attention_heads", json!(3));
    check("num_hidden_layers", json!(1_000_000));
    check("max_position_embeddings", json!(2));
    check("vocab_size", json!(0));
    check("layer_norm_eps", json!(0.0));
    assert!(matches!(load(&json!([]), &weights), Err(BertError::Config(_))));
    assert!(matches!(load(&json!({"hidden_size": -1}), &weights), Err(BertError::Config(_))));
    let mut wide = config();
    wide["vocab_size"] = json!(VOCAB + 1);
    assert!(matches!(load(&wide, &weights), Err(BertError::Shape { .. })));
    let mut deep = config();
    deep["num_hidden_layers"] = json!(3);
    assert!(matches!(load(&deep, &weights), Err(BertError::Missing(_))));
}

#[test]
fn damaged_weights_are_errors_and_never_panics() {
    let weights = file(&tensors(), Dtype::F32);
    for cut in [0, 1, 7, 8, 9, 100, weights.len() / 2, weights.len() - 1] {
        assert!(load(&config(), &weights[..cut]).is_err(), "cut to {cut}");
    }
    let mut huge_header = weights.clone();
    huge_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(load(&config(), &huge_header), Err(BertError::Safetensors(_))));
    // Every flipped bit of the header is an error or at worst another valid file.
    let header = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize + 8;
    for at in 0..header {
        let mut damaged = weights.clone();
        damaged[at] ^= 0x15;
        let _ = load(&config(), &damaged);
    }
    let config_json = config().to_string();
    for bad in [&b""[..], b"{", b"null", b"[[[[", b"{\"model\": {}}"] {
        let files = BertFiles {
            name: "toy",
            config: config_json.as_bytes(),
            tokenizer: bad,
            weights: &weights,
            max_tokens: 254,
            root_weights: None,
            precision: Precision::F32,
            backend: Backend::cpu(),
            adapter: None,
        };
        assert!(matches!(BertModel::load(&files), Err(BertError::Tokenizer(_))));
    }
}

#[test]
fn a_tokenizer_that_outgrows_the_weights_is_an_error_when_it_shows() {
    let mut small = tensors();
    let (shape, words) = small.get_mut("embeddings.word_embeddings.weight").unwrap();
    shape[0] = 9;
    words.truncate(9 * HIDDEN);
    let mut config = config();
    config["vocab_size"] = json!(9);
    let model = load(&config, &file(&small, Dtype::F32)).unwrap();
    assert!(model.embed(&["a e"]).is_ok());
    let error = model.embed(&["a f"]).unwrap_err();
    assert!(matches!(error, EmbedError::TokenOutOfRange { token: 9, rows: 9 }), "{error}");
}

#[test]
fn batches_hold_every_row_once_and_keep_their_bound() {
    let rows: Vec<Vec<u32>> = (0..500).map(|i| vec![4; (i * 37) % 257]).collect();
    let weights = file(&tensors(), Dtype::F32);
    for precision in [Precision::Reference, Precision::F32] {
        let batches = load_with(&config(), &weights, precision).unwrap().batches(&rows);
        let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
        seen.sort_unstable();
        let expected: Vec<usize> = (0..500).filter(|&i| !rows[i].is_empty()).collect();
        assert_eq!(seen, expected);
        for batch in &batches {
            let lengths = batch.iter().map(|&row| rows[row].len());
            let positions = match precision {
                Precision::Reference => batch.len() * lengths.max().unwrap(),
                _ => lengths.sum(),
            };
            assert!(batch.len() == 1 || positions <= BATCH_ROWS, "{precision:?}");
        }
    }
}
