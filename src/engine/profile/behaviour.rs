//! Behaviour of a shopper by the kind of an event: what it says about interest, cart and purchases.

/// Effect of a kind of event on a profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct KindBehaviour {
    /// Weight of each item in the affinities, in clicks.
    pub(super) weight: f64,
    /// Effect on the cart and on the purchases.
    pub(super) effect: BasketEffect,
}

/// Effect of a kind of event on cart and purchases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BasketEffect {
    /// No effect.
    None,
    /// The items are put into the cart.
    Add,
    /// The items are taken out of the cart.
    Remove,
    /// The items leave the cart and are bought.
    Buy,
    /// The items are given back.
    GiveBack,
}

impl KindBehaviour {
    /// Returns the effect of a kind. A kind of the caller's own counts as a click on its items.
    ///
    /// Weights follow how rare an act is: shoppers view more than they click, and click more than they buy.
    pub(super) fn of_kind(kind: &str) -> Self {
        let plain = |weight| Self { weight, effect: BasketEffect::None };
        match kind {
            // Acts of the shop, and acts that say nothing about an item.
            "shown" | "email_open" | "sort" | "checkout" | "unsubscribe" => plain(0.0),
            "hover" => plain(0.3),
            "view" => plain(0.7),
            "wishlist" => plain(2.0),
            "add_to_cart" => Self { weight: 2.0, effect: BasketEffect::Add },
            "remove_from_cart" => Self { weight: -1.0, effect: BasketEffect::Remove },
            "purchase" => Self { weight: 3.0, effect: BasketEffect::Buy },
            "refund" => Self { weight: -2.0, effect: BasketEffect::GiveBack },
            _ => plain(1.0),
        }
    }
}
