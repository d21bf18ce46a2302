//! `covey sim list`.

use clap::Args;
use covey_node::api::ApiError;
use covey_sim::scenario::{FIELDS, ready};
use serde_json::json;

use super::place::done;
use crate::output::Output;

/// List the scenarios that are ready, or all that a scenario may say
#[derive(Debug, Args)]
pub struct List {
    /// Print this scenario's file, to begin one of your own with
    #[arg(long, value_name = "NAME", conflicts_with = "fields")]
    show: Option<String>,
    /// List the fields of a scenario instead: what each may be
    #[arg(long)]
    fields: bool,
}

impl List {
    pub fn run(self, output: &Output) -> Result<(), ApiError> {
        if let Some(name) = self.show {
            let text = super::place::text_of(&name)?;
            output.line(text.trim_end())?;
            return Ok(());
        }
        if self.fields {
            let rows: Vec<(String, String)> =
                FIELDS.iter().map(|it| (it.path.to_owned(), it.rule.to_string())).collect();
            return table(output, "fields", &rows);
        }
        let all = ready::list();
        let rows: Vec<(String, String)> =
            all.into_iter().map(|it| (it.name.to_owned(), it.about)).collect();
        table(output, "scenarios", &rows)
    }
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
