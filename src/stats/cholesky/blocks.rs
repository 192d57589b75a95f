//! Inner loops of a Cholesky factor over several columns side by side.

/// Number of columns that the inner loops go through side by side, so that a vector is read and written once for all of them.
pub(super) const BLOCK: usize = 4;

/// Splits off the first [`BLOCK`] columns, of which the last has `below` entries under its diagonal.
pub(super) fn split_block(columns: &[f64], below: usize) -> ([&[f64]; BLOCK], &[f64]) {
    let (first, rest) = columns.split_at(below + 4);
    let (second, rest) = rest.split_at(below + 3);
    let (third, rest) = rest.split_at(below + 2);
    let (fourth, rest) = rest.split_at(below + 1);
    ([first, second, third, fourth], rest)
}

/// Solves for `head` with a block of columns, and takes its part out of `tail`.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
pub(super) fn substitute_block(block: [&[f64]; BLOCK], head: &mut [f64; BLOCK], tail: &mut [f64]) {
    let [first, second, third, fourth] = block;
    let a = head[0] / first[0];
    let b = (head[1] - a * first[1]) / second[0];
    let c = (head[2] - a * first[2] - b * second[1]) / third[0];
    let d = (head[3] - a * first[3] - b * second[2] - c * third[1]) / fourth[0];
    *head = [a, b, c, d];
    let below = first[4..].iter().zip(&second[3..]).zip(&third[2..]).zip(&fourth[1..]);
    for (value, (((first, second), third), fourth)) in tail.iter_mut().zip(below) {
        *value = *value - a * first - b * second - c * third - d * fourth;
    }
}

/// Solves for `head` with a block of columns, where `tail` is solved for already.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
pub(super) fn substitute_block_back(block: [&[f64]; BLOCK], head: &mut [f64; BLOCK], tail: &[f64]) {
    let [first, second, third, fourth] = block;
    let (below, n) = ([&first[4..], &second[3..], &third[2..], &fourth[1..]], tail.len());
    let mut sums = [[0.0; LANES]; BLOCK];
    let whole = n - n % LANES;
    for at in (0..whole).step_by(LANES) {
        let values = &tail[at..at + LANES];
        for (sums, column) in sums.iter_mut().zip(below) {
            let column = &column[at..at + LANES];
            for lane in 0..LANES {
                sums[lane] += column[lane] * values[lane];
            }
        }
    }
    let [a, b, c, d]: [f64; BLOCK] = std::array::from_fn(|i| {
        let rest: f64 = below[i][whole..].iter().zip(&tail[whole..]).map(|(l, value)| l * value).sum();
        (sums[i][0] + sums[i][1]) + (sums[i][2] + sums[i][3]) + rest
    });
    head[3] = (head[3] - d) / fourth[0];
    head[2] = (head[2] - c - third[1] * head[3]) / third[0];
    head[1] = (head[1] - b - second[1] * head[2] - second[2] * head[3]) / second[0];
    head[0] = (head[0] - a - first[1] * head[1] - first[2] * head[2] - first[3] * head[3]) / first[0];
}

/// Number of running sums of a dot product.
const LANES: usize = 4;

/// Returns the dot product, with four running sums so that the additions need not wait for each other.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail
}
