//! The demo's catalogue: three places, twelve things each, and the shoppers' tastes.
//!
//! This file holds data only. A thing's `appeal` is the log odds of a click by a shopper to whom no entry of `likes`
//! applies. Each entry of `likes` adds its weight times the value of its taste
//! ([`Taste::value`](super::shoppers::Taste::value)). The service receives titles and attributes and never these numbers.

use super::shoppers::{
    Daypart::{Day, Evening, Morning},
    Device::{Desktop, Phone, Tablet},
    Search::{Camping, Gift, Jacket, Shoes},
    Segment::{Loyal, New, Returning},
    Taste::{self, At, BigBasket, Has, Is, PriceSensitive, Seeks},
};
use crate::slot::SlotKind;

/// Things per place.
pub(super) const THINGS: usize = 12;

/// A place of the shop, which becomes a slot.
#[derive(Debug)]
pub(super) struct DemoPlace {
    /// The slot's id.
    pub(super) id: &'static str,
    /// Its display name.
    pub(super) title: &'static str,
    /// Its kind.
    pub(super) kind: SlotKind,
    /// Chance that a shopper looks at each position. The length is the number of things shown.
    pub(super) looks: &'static [f64],
    /// Reward units of a click.
    pub(super) click: f64,
    /// Reward units of an order, or 0 if orders are not part of the goal.
    pub(super) order: f64,
    /// The things that can be shown.
    pub(super) things: &'static [Thing; THINGS],
}

/// A thing that can be shown, which becomes an arm.
#[derive(Debug)]
pub(super) struct Thing {
    /// The arm's id.
    pub(super) id: &'static str,
    /// The title, for people.
    pub(super) title: &'static str,
    /// The attribute `category`.
    pub(super) category: &'static str,
    /// The attribute `price` (of an offer or a block: `cost`), in euros.
    pub(super) euros: f64,
    /// Log odds of a click if no taste applies.
    pub(super) appeal: f64,
    /// Tastes that the thing meets, with their weights in log odds.
    pub(super) likes: &'static [(Taste, f64)],
}

const fn thing(
    id: &'static str,
    title: &'static str,
    category: &'static str,
    euros: f64,
    appeal: f64,
    likes: &'static [(Taste, f64)],
) -> Thing {
    Thing { id, title, category, euros, appeal, likes }
}

/// The three places, in the order in which a shopper comes by them.
pub(super) static PLACES: [DemoPlace; 3] = [
    DemoPlace {
        id: "search",
        title: "Search ranking",
        kind: SlotKind::Ranking,
        looks: &[1.0, 0.78, 0.61, 0.47, 0.37],
        click: 1.0,
        order: 0.0,
        things: &PRODUCTS,
    },
    DemoPlace {
        id: "offers",
        title: "Checkout offer",
        kind: SlotKind::Offer,
        looks: &[1.0],
        click: 0.25,
        order: 1.0,
        things: &OFFERS,
    },
    DemoPlace {
        id: "email",
        title: "Email blocks",
        kind: SlotKind::Block,
        looks: &[1.0, 0.82, 0.66],
        click: 1.0,
        order: 0.0,
        things: &BLOCKS,
    },
];

#[rustfmt::skip]
static PRODUCTS: [Thing; THINGS] = [
    thing("trail-shoe", "Trail running shoe", "shoes", 129.0, -3.4, &[(Seeks(Shoes), 2.5), (Is(Loyal), 0.5)]),
    thing("road-shoe", "Road running shoe", "shoes", 119.0, -3.3, &[(Seeks(Shoes), 2.2), (Is(New), 0.5)]),
    thing("racing-shoe", "Carbon racing shoe", "shoes", 249.0, -3.6, &[(Seeks(Shoes), 1.9), (PriceSensitive, -2.6), (Is(Loyal), 0.7)]),
    thing("canvas-sneaker", "Canvas sneaker", "shoes", 39.0, -3.3, &[(Seeks(Shoes), 1.6), (PriceSensitive, 2.6), (Has(Phone), 0.3)]),
    thing("rain-jacket", "Rain jacket", "jackets", 89.0, -3.3, &[(Seeks(Jacket), 2.5), (At(Morning), 0.4)]),
    thing("down-jacket", "Down jacket", "jackets", 219.0, -3.5, &[(Seeks(Jacket), 2.2), (PriceSensitive, -2.4), (BigBasket, 0.4)]),
    thing("fleece", "Fleece pullover", "jackets", 49.0, -3.3, &[(Seeks(Jacket), 1.8), (PriceSensitive, 2.2)]),
    thing("tent", "Two-person tent", "camping", 179.0, -3.5, &[(Seeks(Camping), 2.5), (Has(Desktop), 0.4), (PriceSensitive, -0.9)]),
    thing("sleeping-bag", "Sleeping bag", "camping", 99.0, -3.4, &[(Seeks(Camping), 2.3)]),
    thing("stove", "Camping stove", "camping", 45.0, -3.3, &[(Seeks(Camping), 1.9), (Seeks(Gift), 0.7)]),
    thing("bottle", "Insulated bottle", "small things", 25.0, -3.0, &[(Seeks(Gift), 2.3), (PriceSensitive, 0.8), (Seeks(Camping), 0.4)]),
    thing("headlamp", "Headlamp", "small things", 35.0, -3.2, &[(Seeks(Gift), 1.7), (Seeks(Camping), 1.4), (At(Evening), 0.4)]),
];

#[rustfmt::skip]
static OFFERS: [Thing; THINGS] = [
    thing("free-shipping", "Free shipping", "delivery", 4.9, -2.2, &[(Is(New), 1.1), (BigBasket, -0.5)]),
    thing("ten-percent", "10 % off", "discount", 7.5, -2.5, &[(PriceSensitive, 2.8), (Is(Returning), 0.6)]),
    thing("twenty-off", "20 € off from 100 €", "discount", 20.0, -3.0, &[(BigBasket, 1.9), (PriceSensitive, 1.0)]),
    thing("gift-wrap", "Gift wrap for free", "service", 3.0, -3.2, &[(Seeks(Gift), 2.9)]),
    thing("points-double", "Loyalty points x2", "loyalty", 2.5, -3.2, &[(Is(Loyal), 2.7)]),
    thing("free-returns", "Free returns for 100 days", "service", 2.0, -2.9, &[(Seeks(Shoes), 0.9), (Is(New), 0.7)]),
    thing("express", "Express delivery", "delivery", 9.9, -2.9, &[(PriceSensitive, -2.4), (Has(Phone), 0.6)]),
    thing("three-for-two", "3 for 2 on accessories", "discount", 12.0, -3.1, &[(Seeks(Camping), 1.7), (PriceSensitive, 0.7)]),
    thing("newsletter", "5 € for the newsletter", "discount", 5.0, -3.3, &[(Is(New), 0.9), (PriceSensitive, 0.8)]),
    thing("early-access", "Early access to the sale", "loyalty", 0.0, -3.1, &[(Is(Loyal), 1.5), (Is(Returning), 0.7)]),
    thing("pay-later", "Pay in 30 days", "service", 1.5, -3.1, &[(BigBasket, 1.0), (Has(Phone), 0.5)]),
    thing("free-sample", "A sample of trail food", "service", 1.0, -3.0, &[(Is(Returning), 0.8), (Seeks(Camping), 0.6)]),
];

#[rustfmt::skip]
static BLOCKS: [Thing; THINGS] = [
    thing("basket", "Your basket is waiting", "reminder", 0.0, -2.8, &[(BigBasket, 1.4), (Is(Returning), 0.7)]),
    thing("bestsellers", "Bestsellers of the week", "products", 0.0, -2.7, &[(Is(New), 0.9)]),
    thing("welcome", "Welcome: how we make things", "story", 0.0, -3.2, &[(Is(New), 1.9)]),
    thing("price-drops", "Price drops", "products", 0.0, -2.9, &[(PriceSensitive, 2.9)]),
    thing("new-season", "The new season", "products", 0.0, -3.0, &[(PriceSensitive, -2.2), (Has(Desktop), 0.4)]),
    thing("your-points", "Your points and rewards", "loyalty", 0.0, -3.1, &[(Is(Loyal), 2.5)]),
    thing("shoe-finder", "Find the shoe that fits", "advice", 0.0, -3.2, &[(Seeks(Shoes), 2.1)]),
    thing("layering", "How to layer for rain", "advice", 0.0, -3.2, &[(Seeks(Jacket), 1.9), (At(Morning), 0.4)]),
    thing("packing-list", "A packing list for two nights", "advice", 0.0, -3.2, &[(Seeks(Camping), 2.3)]),
    thing("gift-guide", "Gifts under 50 €", "products", 0.0, -3.2, &[(Seeks(Gift), 2.5), (PriceSensitive, 0.5)]),
    thing("nearby-shop", "Our shop near you", "service", 0.0, -3.2, &[(Has(Phone), 0.8), (At(Day), 0.5)]),
    thing("magazine", "Read: three days in the Alps", "story", 0.0, -3.2, &[(Has(Tablet), 1.5), (At(Evening), 0.8), (Is(Loyal), 0.5)]),
];
