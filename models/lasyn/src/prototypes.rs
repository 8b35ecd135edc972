//! Prototypes of real latents: K-means.

use auricle_rng::Stream;

/// Centres of `count` clusters of the rows, `[K, D]`: k-means++ starts, then Lloyd's iterations.
///
/// Fewer rows than clusters give a centre per row.
pub fn kmeans(rows: &[f32], width: usize, count: usize, iterations: usize, stream: &mut Stream) -> Vec<f32> {
    let n = rows.len() / width;
    let count = count.min(n);
    let row = |i: usize| &rows[i * width..(i + 1) * width];
    if count == 0 {
        return Vec::new();
    }
    let mut centres: Vec<f32> = row(stream.below(n)).to_vec();
    let mut nearest: Vec<f32> = (0..n).map(|i| distance(row(i), &centres)).collect();
    while centres.len() < count * width {
        let total: f64 = nearest.iter().map(|&d| f64::from(d)).sum();
        let mut left = stream.uniform() * total;
        let chosen = nearest.iter().position(|&d| {
            left -= f64::from(d);
            left < 0.0
        });
        let centre = row(chosen.unwrap_or_else(|| stream.below(n))).to_vec();
        for (i, near) in nearest.iter_mut().enumerate() {
            *near = near.min(distance(row(i), &centre));
        }
        centres.extend(centre);
    }
    for _ in 0..iterations {
        let (mut sums, mut members) = (vec![0f64; centres.len()], vec![0usize; count]);
        for i in 0..n {
            let best = closest(row(i), &centres, width);
            members[best] += 1;
            for (sum, &x) in sums[best * width..].iter_mut().zip(row(i)) {
                *sum += f64::from(x);
            }
        }
        for (k, &members) in members.iter().enumerate().filter(|(_, members)| **members > 0) {
            for i in k * width..(k + 1) * width {
                centres[i] = (sums[i] / members as f64) as f32;
            }
        }
    }
    centres
}

/// The closest centre.
pub fn closest(row: &[f32], centres: &[f32], width: usize) -> usize {
    let mut best = (0, f32::INFINITY);
    for (k, centre) in centres.chunks_exact(width).enumerate() {
        let d = distance(row, centre);
        if d < best.1 {
            best = (k, d);
        }
    }
    best.0
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};

    #[test]
    fn clusters_that_stand_apart_are_found() {
        let mut stream = Key::new(1).stream(Purpose::Test);
        let truth = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]];
        let rows: Vec<f32> =
            (0..400).flat_map(|i| truth[i % 4].map(|x: f64| (x + 0.5 * stream.normal()) as f32)).collect();
        let centres = kmeans(&rows, 2, 4, 10, &mut stream);
        for centre in truth {
            let centre = centre.map(|x| x as f32);
            let near = &centres[closest(&centre, &centres, 2) * 2..][..2];
            assert!(distance(near, &centre) < 0.1, "{centre:?} {near:?}");
        }
        assert_eq!(kmeans(&rows[..4], 2, 8, 3, &mut stream).len(), 4);
        assert!(kmeans(&[], 2, 8, 3, &mut stream).is_empty());
    }
}
