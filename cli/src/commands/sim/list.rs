//! `covey sim list`.

use clap::Args;
use covey_node::api::ApiError;
use covey_sim::scenario::{FIELDS, default_of, ready};
use serde_json::json;

use super::place::done;
use crate::output::Output;

/// List the built-in scenarios, or all that a scenario may say
#[derive(Debug, Args)]
pub struct List {
    /// Print this scenario's file, to begin one of your own with
    #[arg(long, value_name = "NAME", conflicts_with = "fields")]
    show: Option<String>,
    /// List the fields of a scenario instead: what each says, what it may be, and its default
    #[arg(long)]
    fields: bool,
}

impl List {
    pub fn run(self, output: &Output) -> Result<(), ApiError> {
        if let Some(name) = self.show {
            let text = super::place::text_of(&name)?;
            if output.is_json() {
                return done(output, "sim_scenario", json!({ "toml": text }));
            }
            output.line(text.trim_end())?;
            return Ok(());
        }
        if self.fields {
            return fields(output);
        }
        let all = ready::list();
        let rows: Vec<(String, String)> =
            all.into_iter().map(|it| (it.name.to_owned(), it.about)).collect();
        table(output, "scenarios", &rows)
    }
}

/// Every field: what it says, what it may be, and what it is where nothing is said.
fn fields(output: &Output) -> Result<(), ApiError> {
    let all = FIELDS.iter().map(|it| (it, default_of(it.path)));
    if output.is_json() {
        let rows: Vec<_> = all
            .map(|(it, default)| {
                let rule = it.rule.to_string();
                json!({ "name": it.path, "about": it.about, "rule": rule, "default": default })
            })
            .collect();
        return done(output, "sim_fields", json!({ "fields": rows }));
    }
    for (it, default) in all {
        let default = default.map(|of| format!("; {of} by default")).unwrap_or_default();
        let text = format!("{}\n    {}\n    {}{default}", it.path, it.about, it.rule);
        if !output.line(&text)? {
            break;
        }
    }
    Ok(())
}

fn table(output: &Output, what: &str, rows: &[(String, String)]) -> Result<(), ApiError> {
    if output.is_json() {
        let rows: Vec<_> =
            rows.iter().map(|(name, about)| json!({ "name": name, "about": about })).collect();
        return done(output, &format!("sim_{what}"), json!({ what: rows }));
    }
    let widest = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, about) in rows {
        if !output.line(&format!("{name:widest$}  {about}"))? {
            break;
        }
    }
    Ok(())
}
