//! Settings: switches, then the environment, then the files, then what is built in.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{ArgAction, Command, Subcommand};
use printable::say;
use serde_json::json;
use toml::{Table, Value};

use crate::outcome::SCHEMA;

/// The name of the settings file.
const FILE: &str = "rbee-worker.toml";
/// Where that of the system is.
const SYSTEM: &str = "/etc";
/// The largest that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Switches that a variable of the environment sets too, and which.
const VARIABLES: [(&str, &str); 4] = [
    ("catalog", "WORKER_CATALOG_URL"),
    ("bin-dir", "WORKER_BIN_DIR"),
    ("keyring", "WORKER_KEYRING"),
    ("allow-source-host", "WORKER_SOURCE_HOSTS"),
];

/// Tell which settings there are.
#[derive(Debug, Subcommand)]
pub(crate) enum Settings {
    /// Show every setting that is not built in, and where it comes from.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Settings {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let Self::Show { json } = self;
        let mut rows = Vec::new();
        for (name, variable) in VARIABLES {
            if let Some(value) = set(variable) {
                rows.push((name.to_owned(), value, format!("${variable}")));
            }
        }
        for file in files()? {
            for (key, value) in file.table {
                if !rows.iter().any(|(name, ..)| *name == key) {
                    rows.push((key, value.to_string(), file.path.display().to_string()));
                }
            }
        }
        if *json {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(name, value, from)| json!({ "name": name, "value": value, "from": from }))
                .collect();
            println!("{}", json!({ "schema": SCHEMA, "settings": rows }));
        } else if rows.is_empty() {
            say!("nothing is set; `rbee-worker install --help` tells what can be");
        } else {
            for (name, value, from) in rows {
                say!("{name:<24} {value:<40} {from}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A settings file that was read.
struct File {
    path: PathBuf,
    table: Table,
}

/// The arguments of this process, with the settings of the files as switches before those that were
/// typed, so that these win.
///
/// # Errors
/// A file that cannot be read or understood, or that somebody else may write.
pub(crate) fn arguments(definition: &Command) -> Result<Vec<OsString>> {
    let mut typed: Vec<OsString> = env::args_os().collect();
    let at = typed.iter().skip(1).position(|word| {
        word.to_str()
            .is_some_and(|word| definition.find_subcommand(word).is_some())
    });
    let Some(at) = at.map(|at| at + 1) else {
        return Ok(typed);
    };
    let Some(command) = typed[at]
        .to_str()
        .and_then(|word| definition.find_subcommand(word))
    else {
        return Ok(typed);
    };
    let mut seen = Vec::new();
    let mut switches = Vec::new();
    for file in files()? {
        for (key, value) in &file.table {
            if !is_known(definition, key) {
                bail!(
                    "`{key}` in `{}` is no switch of any command; `rbee-worker install --help` lists them",
                    file.path.display()
                );
            }
            let is_set = VARIABLES
                .iter()
                .any(|(name, variable)| name == key && set(variable).is_some());
            if is_set || seen.contains(key) {
                continue;
            }
            seen.push(key.clone());
            let words = words(command, key, value)
                .with_context(|| format!("in `{}`", file.path.display()))?;
            switches.extend(words);
        }
    }
    let after = typed.split_off(at + 1);
    typed.extend(switches);
    typed.extend(after);
    Ok(typed)
}

/// The switches that set `key` to `value`, none where the command has no such switch.
fn words(command: &Command, key: &str, value: &Value) -> Result<Vec<OsString>> {
    let argument = command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(key));
    let Some(argument) = argument else {
        return Ok(Vec::new());
    };
    let word = |value: &Value| -> Result<String> {
        Ok(match value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(is) => is.to_string(),
            other => bail!("`{key}` cannot be {}", other.type_str()),
        })
    };
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return match value {
            Value::Boolean(true) => Ok(vec![format!("--{key}").into()]),
            Value::Boolean(false) => Ok(Vec::new()),
            _ => bail!("`{key}` is `true` or `false`"),
        };
    }
    let values = match value {
        Value::Array(values) => values.iter().map(word).collect::<Result<Vec<_>>>()?,
        value => vec![word(value)?],
    };
    Ok(values
        .into_iter()
        .map(|value| format!("--{key}={value}").into())
        .collect())
}

fn is_known(definition: &Command, key: &str) -> bool {
    let has = |command: &Command| {
        command
            .get_arguments()
            .any(|argument| argument.get_long() == Some(key))
    };
    has(definition) || definition.get_subcommands().any(has)
}

/// A variable of the environment that is not empty.
fn set(variable: &str) -> Option<String> {
    env::var(variable)
        .ok()
        .filter(|value| !value.trim().is_empty())
}

/// The files that are there, the person's first.
fn files() -> Result<Vec<File>> {
    let own = env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| {
            let home = env::var_os("HOME").map(PathBuf::from);
            Some(home.filter(|home| home.is_absolute())?.join(".config"))
        });
    let directories = own.into_iter().chain([PathBuf::from(SYSTEM)]);
    let mut files = Vec::new();
    for directory in directories {
        let path = directory.join(FILE);
        if let Some(table) = read(&path)? {
            files.push(File { path, table });
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Option<Table>> {
    let failed = || format!("cannot read `{}`", path.display());
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.with_context(failed)?,
    };
    let metadata = file.metadata().with_context(failed)?;
    let user = nix::unistd::geteuid().as_raw();
    if ![0, user].contains(&metadata.uid()) || metadata.mode() & 0o022 != 0 {
        bail!(
            "`{}` is not used, as others may write it; `chmod go-w` it, or give it to yourself",
            path.display()
        );
    }
    let mut text = String::new();
    let mut bounded = io::Read::take(file, MAX_FILE);
    io::Read::read_to_string(&mut bounded, &mut text).with_context(failed)?;
    let table = text.parse();
    Ok(Some(table.with_context(|| {
        format!("`{}` is not understood", path.display())
    })?))
}
