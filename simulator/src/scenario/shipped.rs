//! The scenarios in the program.

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        /// Names and texts, in the order of `list`.
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
    "simpson",
    "shop",
    "large-catalogue",
    "returning-or-new",
    "restart",
    "opt-out",
    "one-shopper",
    "gift-shift",
    "login",
    "email-campaign",
    "crawler",
    "shared-device",
);

/// Returns the text of a scenario, or `None` if there is none of this name.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Returns all names.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}
