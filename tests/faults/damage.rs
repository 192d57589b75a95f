//! Torn writes and damaged files, made from the images of a folder.

use std::{collections::BTreeMap, ops::RangeInclusive};

use rand::{RngExt as _, rngs::StdRng};

use super::images::FolderImage;

/// Bytes that a disk writes at once.
const SECTOR: usize = 512;

/// A damaged folder and the outcomes that are allowed for it.
pub(crate) struct FaultCase {
    /// The fault in words, for messages.
    pub(crate) description: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Positions to which the node may recover.
    pub(crate) positions: RangeInclusive<u64>,
    pub(crate) may_be_refused: bool,
}

/// Makes the case of a crash within the step from one image to the next.
pub(crate) fn crash_within_step(before: &FolderImage, after: &FolderImage, rng: &mut StdRng) -> FaultCase {
    let mut files = before.files.clone();
    let changed: Vec<&String> =
        after.files.keys().filter(|name| before.files.get(*name) != after.files.get(*name)).collect();
    // The watermark is written after the commit, and a snapshot gets its name only when it is whole.
    let order = |name: &str| u8::from(name == "journal.mark");
    let mut changed: Vec<&String> = changed.into_iter().filter(|name| !name.starts_with("snapshot-")).collect();
    changed.sort_by_key(|name| order(name));
    let none = Vec::new();
    let mut description = format!("crash in a {} after position {}", after.step, before.acknowledged);
    if changed.is_empty() {
        let name = after.files.keys().find(|name| !before.files.contains_key(*name));
        if let Some(name) = name {
            let cut = rng.random_range(0..=after.files[name].len());
            files.insert(format!("{name}.new"), after.files[name][..cut].to_vec());
            description = format!("{description}, {name} cut at {cut}");
        }
    } else {
        // Files change in the order in which they are written. A checkpoint may cut or restart the log only after the
        // main file is whole.
        let at = rng.random_range(0..changed.len());
        for (i, name) in changed.iter().enumerate().take(at + 1) {
            let (old, new) = (before.files.get(*name).unwrap_or(&none), &after.files[*name]);
            if i < at {
                files.insert((*name).clone(), new.clone());
                continue;
            }
            if new.len() < old.len() {
                // A file system cuts the whole tail of a file, or has not cut it yet.
                if rng.random_bool(0.5) {
                    files.insert((*name).clone(), new.clone());
                }
                break;
            }
            let longest = old.len().max(new.len());
            let mixed = if rng.random_bool(0.5) {
                // The file is new up to a byte and old after it. Beyond the old end the file system may have put zeros.
                let cut = rng.random_range(0..=longest);
                description = format!("{description}, {name} torn at byte {cut}");
                let mut mixed = new[..cut.min(new.len())].to_vec();
                mixed.extend_from_slice(old.get(mixed.len()..).unwrap_or(&[]));
                if rng.random_bool(0.3) && new.len() > mixed.len() {
                    mixed.resize(new.len(), 0);
                }
                mixed
            } else {
                // Sectors reach the disk in any order.
                description = format!("{description}, {name} by sectors");
                let share = rng.random_range(0.0..1.0);
                let length = if rng.random_bool(0.5) { new.len() } else { longest };
                let mut mixed = vec![0; length];
                for from in (0..length).step_by(SECTOR) {
                    let source = if rng.random_bool(share) { new } else { old };
                    let to = (from + SECTOR).min(length);
                    let have = source.len().clamp(from, to);
                    mixed[from..have].copy_from_slice(source.get(from..have).unwrap_or(&[]));
                }
                mixed
            };
            files.insert((*name).clone(), keep_header_order(name, old, new, mixed, rng));
        }
    }
    FaultCase { description, files, positions: before.acknowledged..=after.acknowledged, may_be_refused: false }
}

/// Keeps the write order of a restarted log. SQLite syncs the new header before it writes anything behind it (`wal.c`,
/// `syncHeader`). So either only the header is torn, or the whole header is there.
fn keep_header_order(name: &str, old: &[u8], new: &[u8], mut mixed: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    const HEADER: usize = 32;
    let (Some(from), Some(to)) = (old.get(..HEADER), new.get(..HEADER)) else { return mixed };
    if !name.ends_with("-wal") || from == to {
        return mixed;
    }
    if rng.random_bool(0.3) {
        let cut = rng.random_range(0..=HEADER);
        let mut torn = old.to_vec();
        torn[..cut].copy_from_slice(&to[..cut]);
        return torn;
    }
    mixed.resize(mixed.len().max(HEADER), 0);
    mixed[..HEADER].copy_from_slice(to);
    mixed
}

/// Makes the case of one damaged file of an image.
pub(crate) fn damage_file(image: &FolderImage, rng: &mut StdRng) -> FaultCase {
    let mut files = image.files.clone();
    let names: Vec<String> =
        files.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(name, _)| name.clone()).collect();
    let name = &names[rng.random_range(0..names.len())];
    let bytes = files.get_mut(name).unwrap();
    let at = rng.random_range(0..bytes.len());
    let how = match rng.random_range(0..4) {
        0 | 1 => {
            let bit = rng.random_range(0..8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        2 => {
            bytes.truncate(at);
            format!("cut at byte {at}")
        }
        _ => {
            let from = at / SECTOR * SECTOR;
            let to = (from + SECTOR).min(bytes.len());
            bytes[from..to].fill(0);
            format!("zeros from byte {from} to {to}")
        }
    };
    let description = format!("{name} after a {} at position {}: {how}", image.step, image.acknowledged);
    FaultCase { description, files, positions: image.acknowledged..=image.acknowledged, may_be_refused: true }
}
