//! The files that the Python package `peft` reads: `adapter_config.json` and `adapter_model.safetensors`.

use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use super::file::le_bytes;
use super::layout::Place;
use super::{Adapter, AdapterConfig, AdapterFileError};

/// An adapter as `peft` keeps it; both files belong into one folder.
#[derive(Clone, Debug)]
pub struct PeftFiles {
    /// `adapter_config.json`.
    pub config: Vec<u8>,
    /// `adapter_model.safetensors`.
    pub weights: Vec<u8>,
}

impl Adapter {
    /// The adapter in the layout of Hugging Face's `peft`; `None` for a head, which `peft` has no kind for.
    /// `base` is the name that Python users load the model by.
    ///
    /// # Errors
    ///
    /// Never, unless the tensors exceed what the format can hold.
    pub fn to_peft(&self, base: &str) -> Result<Option<PeftFiles>, AdapterFileError> {
        let AdapterConfig::Lora(lora) = &self.config else { return Ok(None) };
        let modules: Vec<String> =
            lora.targets.iter().map(|target| target.module().replace('.', "\\.")).collect();
        let config = json!({
            "peft_type": "LORA",
            "task_type": "FEATURE_EXTRACTION",
            "base_model_name_or_path": base,
            "r": lora.rank,
            "lora_alpha": lora.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            // The whole of a module's name, as "output.dense" alone would also fit attention's.
            "target_modules": format!("(.*\\.)?encoder\\.layer\\.\\d+\\.({})", modules.join("|")),
        });
        let config = serde_json::to_vec_pretty(&config)
            .map_err(|error| AdapterFileError::Metadata(error.to_string()))?;
        let mut tensors = Vec::new();
        for (number, place) in self.config.places(&self.shape).iter().enumerate() {
            let (a, b) = self.factors(number, place);
            let rank = lora.rank;
            tensors.push((peft_name(place, 'A'), vec![rank, place.inputs], le_bytes(&a)));
            tensors.push((peft_name(place, 'B'), vec![place.outputs, rank], le_bytes(b)));
        }
        let broken =
            |error: safetensors::SafeTensorError| AdapterFileError::Safetensors(error.to_string());
        let views = tensors.iter().map(|(name, shape, data)| {
            TensorView::new(Dtype::F32, shape.clone(), data).map(|view| (name.as_str(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(broken)?;
        let about = [("format".to_owned(), "pt".to_owned())].into();
        let weights = safetensors::serialize(views, Some(about)).map_err(broken)?;
        Ok(Some(PeftFiles { config, weights }))
    }
}

fn peft_name(place: &Place, factor: char) -> String {
    format!("base_model.model.{}.lora_{factor}.weight", place.module)
}
