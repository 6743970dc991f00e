//! Any JSON derived from a recorded entry decodes, or fails with an error that names the field.

use std::sync::{Arc, Mutex};

use catalog_client::{CatalogClient, CatalogError};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::recorded::{FLAT, V1, V2};
use crate::support::*;

/// Every place in a document, as JSON pointers.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                out.push(format!("{at}/{key}"));
                places(inner, &format!("{at}/{key}"), out);
            }
        }
        Value::Array(items) => {
            for (n, inner) in items.iter().enumerate() {
                out.push(format!("{at}/{n}"));
                places(inner, &format!("{at}/{n}"), out);
            }
        }
        _ => {}
    }
}

fn drop_at(root: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        return;
    };
    match root.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(key);
        }
        Some(Value::Array(items)) => {
            if let Ok(n) = key.parse::<usize>()
                && n < items.len()
            {
                items.remove(n);
            }
        }
        _ => {}
    }
}

fn other_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("cpu")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{1,12}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[derive(Debug, Clone)]
enum Change {
    Drop(prop::sample::Index),
    Retype(prop::sample::Index, Value),
    Add(prop::sample::Index, String, Value),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Change::Drop),
        (at(), other_value()).prop_map(|(at, value)| Change::Retype(at, value)),
        (at(), "[a-zA-Z_]{1,16}", other_value())
            .prop_map(|(at, key, value)| Change::Add(at, key, value)),
    ]
}

fn apply(entry: &mut Value, change: Change) -> Option<String> {
    let mut all = Vec::new();
    places(entry, "", &mut all);
    if all.is_empty() {
        return None;
    }
    match change {
        Change::Drop(at) => {
            let at = at.get(&all);
            drop_at(entry, at);
            Some(at.clone())
        }
        Change::Retype(at, value) => {
            let at = at.get(&all);
            *entry.pointer_mut(at)? = value;
            Some(at.clone())
        }
        Change::Add(at, key, value) => {
            let at = at.get(&all);
            entry
                .pointer_mut(at)?
                .as_object_mut()?
                .insert(key.clone(), value);
            Some(format!("{at}/{key}"))
        }
    }
}

fn seeds() -> Vec<Value> {
    let mut seeds: Vec<Value> = Vec::new();
    for list in [V1, V2] {
        let list: Value = serde_json::from_str(list).unwrap();
        seeds.extend(list["workers"].as_array().unwrap().iter().cloned());
    }
    seeds.push(serde_json::from_str(FLAT).unwrap());
    seeds
}

/// A server whose answer to `GET /workers/<id>` is set by the property.
fn serving(runtime: &tokio::runtime::Runtime) -> (Scripted, CatalogClient, Arc<Mutex<String>>) {
    let body = Arc::new(Mutex::new(String::new()));
    let served = Arc::clone(&body);
    let server = runtime.block_on(Scripted::start(move |_, _| json(&*served.lock().unwrap())));
    let client = client(&server.base_url);
    (server, client, body)
}

#[test]
fn derived_entries_decode_or_name_the_field() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_server, client, body) = serving(&runtime);
    let seeds = seeds();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let strategy = (0..seeds.len(), prop::collection::vec(change(), 1..4));
    runner
        .run(&strategy, |(seed, changes)| {
            let mut entry = seeds[seed].clone();
            let asked = id(entry["id"].as_str().unwrap());
            let mut touched = Vec::new();
            for change in changes {
                touched.extend(apply(&mut entry, change));
            }
            *body.lock().unwrap() = entry.to_string();
            let cancel = tokio_util::sync::CancellationToken::new();
            match runtime.block_on(client.get(&asked, &cancel)) {
                Ok(answer) => prop_assert!(!answer.value.variants.is_empty()),
                Err(CatalogError::MalformedEntry { path, problem, .. }) => {
                    let named = touched.iter().flat_map(|at| at.split('/')).any(|field| {
                        !field.is_empty()
                            && field.parse::<usize>().is_err()
                            && (path.contains(field) || problem.contains(field))
                    });
                    prop_assert!(named, "{path:?}: {problem:?} for {touched:?}");
                }
                Err(other) => prop_assert!(false, "{other:?}"),
            }
            Ok(())
        })
        .unwrap();
}
