//! What the crate exports.

use crate::{Names, names};
use syn::{Attribute, Fields, File, ImplItem, Item, UseTree, Visibility};

/// Types and constants; fields, variants and methods as `Type::name`. `sources` are those of the crate, `root` is its
/// `lib.rs`.
pub(crate) fn public(root: &str, sources: &[String]) -> Names {
    let parse = |source: &str| -> File { syn::parse_file(source).expect("it is Rust") };
    let root = parse(root);
    let exported = exported(&root);
    let constants = root.items.iter().filter_map(|item| match item {
        Item::Const(constant) if is_public(&constant.vis) => Some(constant.ident.to_string()),
        _ => None,
    });
    let files: Vec<_> = sources.iter().map(|source| parse(source)).collect();
    let members = files.iter().flat_map(|file| &file.items).flat_map(members);
    let members = members.filter(|name| exported.contains(name.split("::").next().unwrap_or_default()));
    names(constants.chain(members).chain(exported.iter().cloned()))
}

/// What `pub use` names.
fn exported(root: &File) -> Names {
    let mut pending: Vec<_> = root
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Use(item) if is_public(&item.vis) => Some(&item.tree),
            _ => None,
        })
        .collect();
    let mut found = Names::new();
    while let Some(tree) = pending.pop() {
        match tree {
            UseTree::Path(path) => pending.push(&path.tree),
            UseTree::Group(group) => pending.extend(&group.items),
            UseTree::Name(name) => drop(found.insert(name.ident.to_string())),
            _ => panic!("an export that gives no name, or another one"),
        }
    }
    found
}

fn members(item: &Item) -> Vec<String> {
    match item {
        Item::Struct(item) => fields(&item.fields).map(|field| format!("{}::{field}", item.ident)).collect(),
        Item::Enum(item) => item.variants.iter().map(|variant| format!("{}::{}", item.ident, variant.ident)).collect(),
        Item::Impl(item) if item.trait_.is_none() => {
            let syn::Type::Path(owner) = &*item.self_ty else { return Vec::new() };
            let Some(owner) = owner.path.segments.last() else { return Vec::new() };
            item.items.iter().filter_map(method).map(|method| format!("{}::{method}", owner.ident)).collect()
        }
        _ => Vec::new(),
    }
}

fn fields(fields: &Fields) -> impl Iterator<Item = String> {
    let public = fields.iter().filter(|field| is_public(&field.vis));
    public.filter_map(|field| field.ident.as_ref().map(ToString::to_string))
}

fn method(item: &ImplItem) -> Option<String> {
    match item {
        ImplItem::Fn(method) if is_public(&method.vis) && !is_hidden(&method.attrs) => {
            Some(method.sig.ident.to_string())
        }
        ImplItem::Const(constant) if is_public(&constant.vis) => Some(constant.ident.to_string()),
        _ => None,
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("doc")
            && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "hidden")
    })
}

#[test]
fn what_is_exported() {
    let root = "mod a; pub use a::{B, C}; pub use d::E; use f::No; pub const G: usize = 1; const NO: i32 = 1;";
    let source = "pub struct B { pub h: i32, no: i32 } pub enum C { I, J(i32) } pub struct No; pub(crate) fn no() {}
        impl B { pub fn k(&self) {} pub(crate) fn no() {} #[doc(hidden)] pub fn no2() {} pub async fn l() {} }
        impl Drop for B { fn drop(&mut self) {} } impl No { pub fn no() {} }";
    let found = ["B", "B::h", "B::k", "B::l", "C", "C::I", "C::J", "E", "G"];
    assert_eq!(public(root, &[source.into()]), names(found.map(String::from)));
}
