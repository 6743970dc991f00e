//! What a crate shows to others, as Rust text without bodies and private parts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::{Attribute, Fields, FnArg, Item, ItemImpl, ItemUse, Type, UseTree, Visibility};

/// An item and the module it stands in.
struct Placed {
    module: Vec<String>,
    item: Item,
}

/// The public items of the crate at `root`, ordered by their public path.
pub(crate) fn of_crate(root: &Path) -> String {
    let mut items = Vec::new();
    read(&root.join("src/lib.rs"), &root.join("src"), &[], &mut items);
    let mut shown = BTreeMap::new();
    show(&[], &[], &items, &mut shown);
    shown.into_values().collect::<Vec<_>>().join("\n")
}

/// Reads a file and those of its modules, tests left out.
fn read(file: &Path, folder: &Path, module: &[String], items: &mut Vec<Placed>) {
    let text =
        std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parsed =
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    place(parsed.items, folder, module, items);
}

fn place(parsed: Vec<Item>, folder: &Path, module: &[String], items: &mut Vec<Placed>) {
    for item in parsed {
        if is_left_out(attributes(&item)) {
            continue;
        }
        if let Item::Mod(inner) = &item {
            let name = inner.ident.to_string();
            let folder = folder.join(&name);
            let path: Vec<String> = module.iter().cloned().chain([name]).collect();
            match &inner.content {
                Some((_, content)) => place(content.clone(), &folder, &path, items),
                None => {
                    let beside = folder.with_extension("rs");
                    let file = if beside.exists() {
                        beside
                    } else {
                        folder.join("mod.rs")
                    };
                    read(&file, &folder, &path, items);
                }
            }
        }
        items.push(Placed {
            module: module.to_vec(),
            item,
        });
    }
}

/// Shows what `module` makes public under the path `public`.
fn show(
    module: &[String],
    public: &[String],
    items: &[Placed],
    shown: &mut BTreeMap<String, String>,
) {
    for placed in items.iter().filter(|placed| placed.module == module) {
        match &placed.item {
            Item::Use(reexport) if is_public(&reexport.vis) => {
                for (path, name) in leaves(reexport) {
                    show_reexport(module, public, &path, &name, items, shown);
                }
            }
            Item::Mod(inner) if is_public(&inner.vis) => {
                let name = inner.ident.to_string();
                let below = |path: &[String]| -> Vec<String> {
                    path.iter().cloned().chain([name.clone()]).collect()
                };
                show(&below(module), &below(public), items, shown);
            }
            item if visibility(item).is_some_and(is_public) => {
                let name = name_of(item).unwrap_or_default();
                show_item(public, &name, item, items, shown);
            }
            _ => {}
        }
    }
}

/// Shows an item that `module` re-exports from `path`, wherever it is defined.
fn show_reexport(
    module: &[String],
    public: &[String],
    path: &[String],
    name: &str,
    items: &[Placed],
    shown: &mut BTreeMap<String, String>,
) {
    let start: Vec<String> = match path.first().map(String::as_str) {
        Some("crate") => path[1..].to_vec(),
        Some("self") => module.iter().chain(&path[1..]).cloned().collect(),
        Some("super") => {
            let parent = &module[..module.len().saturating_sub(1)];
            parent.iter().chain(&path[1..]).cloned().collect()
        }
        _ => module.iter().chain(path).cloned().collect(),
    };
    if !start.is_empty() && !items.iter().any(|placed| placed.module == start) {
        let text = format!("pub use {}::{name};\n", path.join("::"));
        shown.insert(key(public, name), text);
        return;
    }
    if name == "*" {
        show(&start, public, items, shown);
        return;
    }
    for placed in items.iter().filter(|placed| placed.module == start) {
        match &placed.item {
            Item::Use(further) => {
                for (path, leaf) in leaves(further) {
                    if leaf == name || leaf == "*" {
                        show_reexport(&start, public, &path, name, items, shown);
                    }
                }
            }
            item if name_of(item).as_deref() == Some(name) => {
                show_item(public, name, item, items, shown);
            }
            _ => {}
        }
    }
}

fn show_item(
    public: &[String],
    name: &str,
    item: &Item,
    items: &[Placed],
    shown: &mut BTreeMap<String, String>,
) {
    let mut stripped = vec![strip(item.clone())];
    if matches!(item, Item::Struct(_) | Item::Enum(_)) {
        let implementations = items.iter().filter_map(|placed| match &placed.item {
            Item::Impl(implementation) if is_for(implementation, name) => {
                strip_impl(implementation.clone())
            }
            _ => None,
        });
        let mut texts: Vec<(String, Item)> = implementations
            .map(|implementation| {
                let item = Item::Impl(implementation);
                (unparse(vec![item.clone()]), item)
            })
            .collect();
        texts.sort_by(|(left, _), (right, _)| left.cmp(right));
        stripped.extend(texts.into_iter().map(|(_, item)| item));
    }
    let place = if public.is_empty() {
        String::new()
    } else {
        format!("// in {}\n", public.join("::"))
    };
    shown.insert(key(public, name), place + &unparse(stripped));
}

fn key(public: &[String], name: &str) -> String {
    format!("{}::{name}", public.join("::"))
}

fn unparse(items: Vec<Item>) -> String {
    prettyplease::unparse(&syn::File {
        shebang: None,
        attrs: Vec::new(),
        items,
    })
}

/// The paths and names that a `use` brings in.
fn leaves(reexport: &ItemUse) -> Vec<(Vec<String>, String)> {
    fn walk(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
        match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                walk(&inner.tree, path, found);
                path.pop();
            }
            UseTree::Name(name) => found.push((path.clone(), name.ident.to_string())),
            UseTree::Rename(name) => found.push((path.clone(), name.ident.to_string())),
            UseTree::Glob(_) => found.push((path.clone(), "*".to_owned())),
            UseTree::Group(group) => {
                for tree in &group.items {
                    walk(tree, path, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(&reexport.tree, &mut Vec::new(), &mut found);
    found
}

fn is_for(implementation: &ItemImpl, name: &str) -> bool {
    match implementation.self_ty.as_ref() {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == name),
        _ => false,
    }
}

fn strip(mut item: Item) -> Item {
    match &mut item {
        Item::Struct(it) => {
            keep(&mut it.attrs);
            strip_fields(&mut it.fields);
        }
        Item::Enum(it) => {
            keep(&mut it.attrs);
            for variant in &mut it.variants {
                keep(&mut variant.attrs);
                for field in &mut variant.fields {
                    keep(&mut field.attrs);
                }
            }
        }
        Item::Trait(it) => {
            keep(&mut it.attrs);
            for inner in &mut it.items {
                if let syn::TraitItem::Fn(function) = inner {
                    keep(&mut function.attrs);
                    function.default = function
                        .default
                        .as_ref()
                        .map(|_| syn::parse_quote!({ /* provided */ }));
                } else if let syn::TraitItem::Type(kind) = inner {
                    keep(&mut kind.attrs);
                }
            }
        }
        Item::Fn(it) => {
            keep(&mut it.attrs);
            it.block = syn::parse_quote!({});
            plain_arguments(&mut it.sig);
        }
        Item::Const(it) => keep(&mut it.attrs),
        Item::Static(it) => keep(&mut it.attrs),
        Item::Type(it) => keep(&mut it.attrs),
        _ => {}
    }
    item
}

fn strip_fields(fields: &mut Fields) {
    match fields {
        Fields::Named(named) => {
            let kept = std::mem::take(&mut named.named).into_iter();
            named.named = kept
                .filter(|field| is_public(&field.vis))
                .map(|mut field| {
                    keep(&mut field.attrs);
                    field
                })
                .collect();
        }
        Fields::Unnamed(unnamed) => {
            for field in &mut unnamed.unnamed {
                keep(&mut field.attrs);
                if !is_public(&field.vis) {
                    field.ty = syn::parse_quote!(_);
                }
            }
        }
        Fields::Unit => {}
    }
}

/// An implementation with its public functions; nothing when it has none to show.
fn strip_impl(mut implementation: ItemImpl) -> Option<ItemImpl> {
    if is_left_out(&implementation.attrs) {
        return None;
    }
    keep(&mut implementation.attrs);
    if implementation.trait_.is_some() {
        implementation.items.clear();
        return Some(implementation);
    }
    implementation.items.retain(|item| match item {
        syn::ImplItem::Fn(function) => is_public(&function.vis),
        syn::ImplItem::Const(constant) => is_public(&constant.vis),
        _ => false,
    });
    for item in &mut implementation.items {
        match item {
            syn::ImplItem::Fn(function) => {
                keep(&mut function.attrs);
                function.block = syn::parse_quote!({});
                plain_arguments(&mut function.sig);
            }
            syn::ImplItem::Const(constant) => keep(&mut constant.attrs),
            _ => {}
        }
    }
    (!implementation.items.is_empty()).then_some(implementation)
}

/// `mut self` and `mut x` are the body's business.
fn plain_arguments(signature: &mut syn::Signature) {
    for argument in &mut signature.inputs {
        match argument {
            FnArg::Receiver(receiver) if receiver.reference.is_none() => receiver.mutability = None,
            FnArg::Typed(typed) => {
                if let syn::Pat::Ident(name) = typed.pat.as_mut() {
                    name.mutability = None;
                }
            }
            FnArg::Receiver(_) => {}
        }
    }
}

/// Leaves the attributes that a user notices.
fn keep(attributes: &mut Vec<Attribute>) {
    let noticed: BTreeSet<&str> = BTreeSet::from([
        "derive",
        "non_exhaustive",
        "must_use",
        "deprecated",
        "cfg",
        "serde",
    ]);
    attributes.retain(|attribute| {
        attribute
            .path()
            .get_ident()
            .is_some_and(|name| noticed.contains(name.to_string().as_str()))
    });
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Tests, and what the documentation does not show either.
fn is_left_out(attributes: &[Attribute]) -> bool {
    let says = |attribute: &Attribute, word: &str| {
        attribute
            .parse_args::<syn::Ident>()
            .is_ok_and(|name| name == word)
    };
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        (path.is_ident("cfg") && says(attribute, "test"))
            || (path.is_ident("doc") && says(attribute, "hidden"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        _ => &[],
    }
}

fn visibility(item: &Item) -> Option<&Visibility> {
    Some(match item {
        Item::Struct(it) => &it.vis,
        Item::Enum(it) => &it.vis,
        Item::Trait(it) => &it.vis,
        Item::Fn(it) => &it.vis,
        Item::Const(it) => &it.vis,
        Item::Static(it) => &it.vis,
        Item::Type(it) => &it.vis,
        _ => return None,
    })
}

fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Struct(it) => it.ident.to_string(),
        Item::Enum(it) => it.ident.to_string(),
        Item::Trait(it) => it.ident.to_string(),
        Item::Fn(it) => it.sig.ident.to_string(),
        Item::Const(it) => it.ident.to_string(),
        Item::Static(it) => it.ident.to_string(),
        Item::Type(it) => it.ident.to_string(),
        _ => return None,
    })
}
