//! Events of the log as JSON, an object on each line.

use std::fmt::{self, Debug};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::text::time_exact;

/// Writes `timestamp`, `level`, `target`, `message` and the event's own fields, which take no place of these.
pub struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let meta = event.metadata();
        writeln!(to, "{}", object(time_exact(ms), meta.level().as_str(), meta.target(), event))
    }
}

fn object(timestamp: String, level: &str, target: &str, event: &Event<'_>) -> Value {
    let mut fields = Fields(Map::new());
    event.record(&mut fields);
    let mut object = fields.0;
    object.insert("timestamp".to_owned(), timestamp.into());
    object.insert("level".to_owned(), level.into());
    object.insert("target".to_owned(), target.into());
    Value::Object(object)
}

struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_event_is_an_object_on_a_line_of_its_own() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Json)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let odd = "a \"quoted\"\nname\u{1b}[31m";
            tracing::info!(round = 3_u64, share = 0.5, done = true, of = -1_i64, odd, "it goes on");
            tracing::warn!(error = %"gone", level = "mine", phase = ?Some(1), "two\nlines");
        });
        let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("UTF-8");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert_eq!(lines.len(), 2, "{text}");
        let (first, second) = (&lines[0], &lines[1]);
        assert_eq!((&first["level"], &first["message"]), (&"INFO".into(), &"it goes on".into()));
        assert_eq!((&first["round"], &first["share"]), (&3.into(), &0.5.into()));
        assert_eq!((&first["done"], &first["of"]), (&true.into(), &(-1).into()));
        assert_eq!(first["odd"], "a \"quoted\"\nname\u{1b}[31m");
        assert!(first["target"].as_str().is_some_and(|it| it.starts_with("covey")), "{first}");
        let stamp = first["timestamp"].as_str().expect("a time");
        assert!(stamp.starts_with("20") && stamp.ends_with('Z') && stamp.len() == 24, "{stamp}");
        assert_eq!((&second["level"], &second["error"]), (&"WARN".into(), &"gone".into()));
        assert_eq!(
            (&second["message"], &second["phase"]),
            (&"two\nlines".into(), &"Some(1)".into())
        );
    }
}
