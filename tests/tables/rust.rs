//! What the crate exports.

use crate::{Names, names, sources};
use syn::{
    Attribute, Expr, ExprLit, Fields, File, ImplItem, Item, Lit, Meta, ReturnType, Signature, Type, TypeImplTrait,
    TypeParamBound, UseTree, Visibility,
};

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

/// The texts of `///` on it.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let lines = lines.filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(text) => match &text.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Public functions that are awaited, or whose result is, and do not say what becomes of them when they are dropped.
fn silent_on_cancel_safety(source: &str) -> Vec<String> {
    let items = syn::parse_file(source).expect("it is Rust").items;
    let methods = items.iter().flat_map(|item| match item {
        Item::Impl(item) if item.trait_.is_none() => item.items.iter().collect(),
        _ => Vec::new(),
    });
    let awaited = methods.filter_map(|item| match item {
        ImplItem::Fn(method) if is_public(&method.vis) && is_awaited(&method.sig) => Some(method),
        _ => None,
    });
    let silent = awaited.filter(|method| !documentation(&method.attrs).contains(" # Cancel safety\n"));
    silent.map(|method| method.sig.ident.to_string()).collect()
}

fn is_awaited(signature: &Signature) -> bool {
    match &signature.output {
        _ if signature.asyncness.is_some() => true,
        ReturnType::Default => false,
        ReturnType::Type(_, given) => match &**given {
            Type::ImplTrait(given) => is_future(given),
            // The options of these are methods of theirs, and give `Self`.
            Type::Path(given) => given.path.is_ident("Lock") || given.path.is_ident("Connect"),
            _ => false,
        },
    }
}

fn is_future(given: &TypeImplTrait) -> bool {
    given.bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|last| last.ident == "Future"),
        _ => false,
    })
}

/// Public types that could not grow without breaking a program.
fn exhaustive(source: &str) -> Vec<String> {
    let is_open =
        |attributes: &[Attribute]| attributes.iter().any(|attribute| attribute.path().is_ident("non_exhaustive"));
    let items = syn::parse_file(source).expect("it is Rust").items;
    let closed = items.iter().filter_map(|item| match item {
        Item::Enum(item) if is_public(&item.vis) && !is_open(&item.attrs) => Some(&item.ident),
        Item::Struct(item)
            if is_public(&item.vis) && fields(&item.fields).next().is_some() && !is_open(&item.attrs) =>
        {
            Some(&item.ident)
        }
        _ => None,
    });
    closed.map(ToString::to_string).collect()
}

#[test]
fn each_future_says_what_becomes_of_it_when_it_is_dropped() {
    let silent: Vec<_> = sources("src", ".rs").iter().flat_map(|source| silent_on_cancel_safety(source)).collect();
    assert_eq!(silent, [""; 0]);
    let source = "impl A { pub async fn a() {} pub fn b() -> impl Future + Send {} pub fn c() -> Lock {} pub fn d() {}
        async fn e() {} pub fn f(self) -> Self {} pub fn g() -> impl Iterator {} }";
    assert_eq!(silent_on_cancel_safety(source), ["a", "b", "c"]);
    assert_eq!(
        silent_on_cancel_safety(&source.replace("pub a", "/// # Cancel safety\n///\n/// It is.\npub a")),
        ["b", "c"]
    );
}

#[test]
fn public_types_may_grow() {
    let closed: Vec<_> = sources("src", ".rs").iter().flat_map(|source| exhaustive(source)).collect();
    assert_eq!(closed, [""; 0]);
    let source =
        "pub enum A { B } #[non_exhaustive] pub enum C { D } pub struct E { pub f: G } pub struct H { i: J } enum K {}";
    assert_eq!(exhaustive(source), ["A", "E"]);
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
