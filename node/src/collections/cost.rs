//! What a collection may cost: the settings of a profile, and a cache where embedding is slow.

use covey_index::Settings;
use covey_protocol::ids::ModelId;

use super::Collections;
use crate::api::Profile;

/// The settings of a new collection, given whether its model is slow.
pub(super) fn settings(profile: Option<Profile>, slow: bool) -> Settings {
    let profile = profile.map(covey_index::Profile::from).unwrap_or_default();
    let mut settings = profile.settings();
    if slow {
        settings.cache_bytes = profile.cache_bytes();
    }
    settings
}

impl Collections {
    /// The settings that a collection keeps when it goes from one model to another.
    pub(super) fn settings_for(&self, settings: Settings, from: ModelId, to: ModelId) -> Settings {
        let (was, is) = (self.is_slow(from), self.is_slow(to));
        if was == is {
            return settings;
        }
        let cache = settings.profile().unwrap_or_default().cache_bytes();
        let mut settings = settings;
        settings.cache_bytes = if is { cache } else { 0 };
        settings
    }

    /// Whether a model takes so long that a cache pays: one that looks vectors up in a table does not.
    pub(super) fn is_slow(&self, model: ModelId) -> bool {
        let models = self.models.list().unwrap_or_default();
        models.iter().any(|entry| entry.id == model && entry.family != "static")
    }
}
