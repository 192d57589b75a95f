//! Decisions from a change of the environment until choices are good again.

use super::setup::AdaptProbe;

/// Returns the decisions until the end of the first block with little regret, or of all blocks if there is none. Each
/// block has the regret of the policy and that of uniform choice.
pub(super) fn adapted(probe: &AdaptProbe, blocks: &[(f64, f64)]) -> f64 {
    let good = blocks.iter().position(|(regret, uniform)| *regret <= probe.within * uniform);
    let blocks = good.map_or(blocks.len(), |block| block + 1);
    blocks as f64 * probe.block as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adaptation_ends_with_the_first_block_of_little_regret() {
        let probe = AdaptProbe { after: 50, block: 10, within: 0.5 };
        for (regrets, want) in [(&[9.0, 6.0, 5.0, 7.0][..], 30.0), (&[1.0], 10.0), (&[9.0, 9.0], 20.0)] {
            let blocks: Vec<(f64, f64)> = regrets.iter().map(|&regret| (regret, 10.0)).collect();
            assert!((adapted(&probe, &blocks) - want).abs() < 1e-12, "{regrets:?}");
        }
    }
}
