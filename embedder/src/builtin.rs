//! The model inside the binary, so that a first search needs no download.

use std::sync::{Arc, OnceLock};

use crate::{EmbedError, Embedder, StaticModel};

/// Name of the built-in model.
pub const BUILTIN_NAME: &str = "covey-static-en-512";

/// Made by `cargo xtask model`; assets/NOTICE.md has the command and the licence.
pub(crate) static BYTES: &[u8] = include_bytes!("../assets/covey-static-en-512.cvst");

static MODEL: OnceLock<Arc<StaticModel>> = OnceLock::new();

/// The built-in English model: static, 512 dimensions, no IO. The first call checks
/// and prepares it in some tens of milliseconds; later calls share the result.
///
/// # Errors
///
/// When the bytes compiled into the program are damaged.
pub fn builtin() -> Result<Arc<dyn Embedder>, EmbedError> {
    Ok(builtin_model()?)
}

/// The same, for what only a static model can do.
///
/// # Errors
///
/// As [`builtin`].
pub fn builtin_model() -> Result<Arc<StaticModel>, EmbedError> {
    if let Some(model) = MODEL.get() {
        return Ok(model.clone());
    }
    let model = Arc::new(StaticModel::from_static(BYTES)?);
    Ok(MODEL.get_or_init(|| model).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_fits_its_budget_and_calls_share_one_model() {
        assert!(BYTES.len() <= 8 * 1024 * 1024, "{}", BYTES.len());
        let (first, second) = (builtin().unwrap(), builtin().unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((first.name(), first.dim()), (BUILTIN_NAME, 512));
    }

    #[test]
    fn related_texts_are_closer_than_unrelated_ones() {
        let model = builtin().unwrap();
        let texts = [
            "How do I treat a child's fever?",
            "Paracetamol lowers the temperature of feverish children.",
            "The bridge was closed for repairs after the flood.",
        ];
        let rows = model.embed(&texts).unwrap();
        let dot = |a: usize, b: usize| -> f32 {
            (0..512).map(|i| rows[a * 512 + i] * rows[b * 512 + i]).sum()
        };
        assert!(dot(0, 1) > dot(0, 2) + 0.1, "{} {}", dot(0, 1), dot(0, 2));
        assert!((dot(0, 0) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_text_embeds_alike_alone_and_in_a_batch() {
        let model = builtin().unwrap();
        let texts: Vec<String> =
            (0..200).map(|i| format!("note {i} about {}", "rivers and boats ".repeat(i))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let together = model.embed(&texts).unwrap();
        for (text, row) in texts.iter().zip(together.chunks(512)) {
            assert_eq!(model.embed(&[text]).unwrap(), row);
        }
    }
}
