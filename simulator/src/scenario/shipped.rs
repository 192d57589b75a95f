//! The scenarios that come with the program.

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        /// Their names and texts, in the order of `list`.
        const ALL: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),+];
    };
}

shipped!(
    "offer",
    "search-ranking",
    "email-delays",
    "product-a-day",
    "gift-season",
    "flash-sale",
    "seasonal",
    "stock-outs",
    "dirty-events",
    "nothing-to-find",
    "large-catalogue",
    "returning-or-new",
    "restart",
    "opt-out",
);

/// The text of one.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}
