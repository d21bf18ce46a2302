//! JSON with its fields in the order they stand, as far as text goes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value. Depth is bounded by the parser (128).
pub(super) enum Json {
    /// Null.
    Null,
    /// A number or truth value, as text.
    Scalar(String),
    String(String),
    /// What of an array is not a number, truth value or null: those say nothing without a name.
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value; an error names the place.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// A field of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Self::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            Self::Null | Self::Scalar(_) | Self::String(_) | Self::Array(_) => None,
        }
    }

    /// The string it is.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null | Self::Scalar(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// The items of an array, or nothing.
    pub(super) fn items(&self) -> &[Json] {
        match self {
            Self::Array(items) => items,
            Self::Null | Self::Scalar(_) | Self::String(_) | Self::Object(_) => &[],
        }
    }

    /// Appends every string in it, each ending in `separator`.
    pub(super) fn strings(&self, separator: &str, out: &mut String) {
        match self {
            Self::String(text) => {
                out.push_str(text);
                out.push_str(separator);
            }
            Self::Array(items) => items.iter().for_each(|item| item.strings(separator, out)),
            Self::Object(fields) => fields.iter().for_each(|(_, v)| v.strings(separator, out)),
            Self::Null | Self::Scalar(_) => {}
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            if !matches!(item, Json::Null | Json::Scalar(_)) {
                items.push(item);
            }
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}
