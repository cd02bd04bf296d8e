//! Trees grown at random: the walk, the fast sums, explanations and the file must agree.

use proptest::prelude::*;

use super::file::parse;
use super::*;

/// A small generator (SplitMix64), so that one seed names a whole case.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn number(&mut self) -> f64 {
        self.below(2001) as f64 / 100.0 - 10.0
    }

    /// What a column may hold: numbers, codes, codes past every dictionary, missing, and what is no code at all.
    fn cell(&mut self) -> f64 {
        match self.below(8) {
            0 => f64::NAN,
            1 => [f64::INFINITY, f64::NEG_INFINITY, 1e300, -0.0][self.below(4)],
            2 => self.number(),
            _ => self.below(140) as f64,
        }
    }

    fn rows(&mut self, n_rows: usize, n_columns: usize) -> FeatureMatrix {
        FeatureMatrix::from_rows(n_columns, (0..n_rows * n_columns).map(|_| self.cell()).collect())
    }

    fn tree(&mut self, n_features: usize, depth: usize) -> Tree {
        let mut nodes = Vec::new();
        self.grow(&mut nodes, n_features, depth);
        Tree::new(nodes)
    }

    /// Grows depth first; a parent's cover is the sum of its children's.
    fn grow(&mut self, nodes: &mut Vec<Node>, n_features: usize, depth: usize) -> f64 {
        let at = nodes.len();
        let (value, cover) = (self.number(), 1.0 + self.below(50) as f64);
        nodes.push(Node::Leaf {
            value: value.into(),
            cover,
        });
        if depth == 0 || self.one_in(5) {
            return cover;
        }
        let left = nodes.len() as u32;
        let mut cover = self.grow(nodes, n_features, depth - 1);
        let right = nodes.len() as u32;
        cover += self.grow(nodes, n_features, depth - 1);
        let (feature, missing_left) = (self.below(n_features) as u32, self.one_in(2));
        nodes[at] = if self.one_in(3) {
            let categories = (0..self.below(4)).map(|_| self.next()).collect();
            Node::Category {
                feature,
                categories,
                missing_left,
                left,
                right,
                cover,
            }
        } else {
            let threshold = if self.one_in(12) {
                f64::INFINITY
            } else {
                self.below(140) as f64
            };
            Node::Numeric {
                feature,
                threshold,
                missing_left,
                left,
                right,
                cover,
            }
        };
        cover
    }

    /// Numeric tests only, on so many different thresholds.
    fn numeric_tree(&mut self, n_features: usize, n_thresholds: usize, depth: usize) -> Tree {
        let mut nodes = vec![leaf(self.number())];
        let mut open = vec![(0, 0)];
        while let Some((at, level)) = open.pop() {
            if level == depth || self.one_in(9) {
                continue;
            }
            let left = nodes.len() as u32;
            let threshold = self.below(n_thresholds) as f64 * 140.0 / n_thresholds as f64;
            nodes[at] = Node::Numeric {
                feature: self.below(n_features) as u32,
                threshold,
                missing_left: self.one_in(2),
                left,
                right: left + 1,
                cover: 2.0,
            };
            nodes.extend([leaf(self.number()), leaf(self.number())]);
            open.extend([(left as usize, level + 1), (left as usize + 1, level + 1)]);
        }
        Tree::new(nodes)
    }

    fn ensemble(&mut self, n_features: usize, depth: usize, n_trees: usize) -> TreeEnsemble {
        let trees = (0..n_trees).map(|_| self.tree(n_features, depth)).collect();
        TreeEnsemble::new(n_features, self.number(), Link::Logit, trees).unwrap()
    }
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|it| it.to_bits()).collect()
}

/// The sums of each evaluator that can take these trees on this machine.
fn every_evaluator(ensemble: &TreeEnsemble, x: &FeatureMatrix) -> Vec<(Evaluator, Vec<f64>)> {
    let sums = |by| {
        let mut out = vec![0.0; x.n_rows() * ensemble.n_outputs()];
        let rows = x.rows().zip(out.chunks_exact_mut(ensemble.n_outputs()));
        rows.for_each(|(row, out)| ensemble.raw_row_by(by, row, out));
        out
    };
    ensemble.evaluators().into_iter().map(|by| (by, sums(by))).collect()
}

/// The mean leaf when only the columns in `known` are known: the game whose Shapley values TreeSHAP computes.
fn expectation(tree: &Tree, at: usize, row: &[f64], known: usize, output: usize) -> f64 {
    let node = &tree.nodes[at];
    match (node, node.children()) {
        (Node::Leaf { value, .. }, _) => value.at(output, tree.output),
        (_, Some(_)) if known >> node.feature().unwrap() & 1 == 1 => {
            expectation(tree, node.next(row).unwrap(), row, known, output)
        }
        (_, Some((left, right))) => {
            let (l, r) = (tree.nodes[left].cover(), tree.nodes[right].cover());
            let mean = |child| expectation(tree, child, row, known, output);
            (l * mean(left) + r * mean(right)) / (l + r)
        }
        _ => unreachable!(),
    }
}

/// Shapley's formula over all subsets.
fn shapley(ensemble: &TreeEnsemble, row: &[f64], column: usize, output: usize) -> f64 {
    let n = ensemble.n_features();
    let factorial = |k: usize| (1..=k).map(|it| it as f64).product::<f64>();
    let worth = |known| {
        let trees = &ensemble.trees()[ensemble.outputs.trees(output)];
        let sum: f64 = trees.iter().map(|tree| expectation(tree, 0, row, known, output)).sum();
        sum * ensemble.outputs.scale(output)
    };
    let others = (0..1_usize << n).filter(|subset| subset >> column & 1 == 0);
    let part = |subset: usize| {
        let size = subset.count_ones() as usize;
        let weight = factorial(size) * factorial(n - size - 1) / factorial(n);
        weight * (worth(subset | 1 << column) - worth(subset))
    };
    others.map(part).sum()
}

/// Shapley's formula over all subsets, unknown columns being those of the background's rows.
fn interventional_shapley(
    ensemble: &TreeEnsemble,
    row: &[f64],
    background: &FeatureMatrix,
    column: usize,
    output: usize,
) -> f64 {
    let n = ensemble.n_features();
    let factorial = |k: usize| (1..=k).map(|it| it as f64).product::<f64>();
    let worth = |known: usize| {
        let mixed = background.rows().map(|other| {
            let mixed: Vec<f64> = (0..n)
                .map(|it| if known >> it & 1 == 1 { row[it] } else { other[it] })
                .collect();
            ensemble.raw(&FeatureMatrix::from_rows(n, mixed))[output]
        });
        mixed.sum::<f64>() / background.n_rows() as f64
    };
    let others = (0..1_usize << n).filter(|subset| subset >> column & 1 == 0);
    let part = |subset: usize| {
        let size = subset.count_ones() as usize;
        let weight = factorial(size) * factorial(n - size - 1) / factorial(n);
        weight * (worth(subset | 1 << column) - worth(subset))
    };
    others.map(part).sum()
}

fn check_damaged(result: Result<TreeEnsemble, InferenceError>) {
    assert!(matches!(result, Err(InferenceError::Damaged { .. })), "{result:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn fast_sums_have_the_bits_of_the_obvious_walk(seed: u64, n_rows in 0_usize..300, n_trees in 0_usize..40, n_features in 1_usize..9) {
        let mut chance = Chance(seed);
        let ensemble = chance.ensemble(n_features, 7, n_trees);
        let x = chance.rows(n_rows, n_features);
        let judge = bits(&ensemble.raw(&x));
        prop_assert_eq!(&bits(&ensemble.predict(&x).unwrap()), &judge);
        let one_by_one: Vec<f64> = x.rows().map(|row| ensemble.raw_row(row).unwrap()).collect();
        prop_assert_eq!(&bits(&one_by_one), &judge);
        for (by, sums) in every_evaluator(&ensemble, &x) {
            prop_assert_eq!(&bits(&sums), &judge, "{:?}", by);
        }
    }

    #[test]
    fn contributions_are_the_shapley_values(seed: u64, n_features in 1_usize..6) {
        let mut chance = Chance(seed);
        let ensemble = chance.ensemble(n_features, 5, 3);
        let x = chance.rows(1, n_features);
        let got = ensemble.contributions(&x, 0, 0).unwrap();
        for (column, value) in got[..n_features].iter().enumerate() {
            let expected = shapley(&ensemble, x.row(0), column, 0);
            prop_assert!((value - expected).abs() <= 1e-9 * (1.0 + expected.abs()), "{} against {}", value, expected);
        }
    }

    #[test]
    fn contributions_sum_to_the_raw_score(seed: u64, n_features in 1_usize..30) {
        let mut chance = Chance(seed);
        let ensemble = chance.ensemble(n_features, 9, 20);
        let x = chance.rows(2, n_features);
        let (got, raw) = (ensemble.contributions(&x, 1, 0).unwrap().iter().sum::<f64>(), ensemble.raw(&x)[1]);
        prop_assert!((got - raw).abs() <= 1e-9 * (1.0 + raw.abs()), "{} against {}", got, raw);
    }

    #[test]
    fn a_file_brings_back_the_same_ensemble(seed: u64, n_trees in 0_usize..6) {
        let ensemble = Chance(seed).ensemble(4, 5, n_trees);
        let (name, bytes) = ensemble.to_file();
        prop_assert_eq!(name, TREES_FILE);
        prop_assert_eq!(TreeEnsemble::from_bytes(&bytes).unwrap(), ensemble);
    }

    #[test]
    fn a_cut_or_changed_file_is_damaged(seed: u64, place: prop::sample::Index, flip in 1_u8..=255) {
        let bytes = Chance(seed).ensemble(4, 4, 3).to_bytes();
        let place = place.index(bytes.len());
        check_damaged(TreeEnsemble::from_bytes(&bytes[..place]));
        let mut changed = bytes.clone();
        changed[place] ^= flip;
        prop_assert!(TreeEnsemble::from_bytes(&changed).is_err());
        check_damaged(TreeEnsemble::from_bytes(&[bytes, vec![flip]].concat()));
    }

    /// Behind a right checksum anything may stand: it is refused, or it is an ensemble that predicts and explains.
    #[test]
    fn a_hostile_body_is_refused_or_usable(seed: u64, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut chance = Chance(seed);
        let mut body = chance.ensemble(4, 8, 3).to_bytes();
        for (place, value) in changes {
            let place = place.index(body.len());
            body[place] = value;
        }
        let body = section::aligned(&body);
        let Ok(ensemble) = parse(&body) else { return Ok(()) };
        let width = ensemble.n_features().min(1000);
        let x = chance.rows(9, width);
        if ensemble.predict(&x).is_ok() {
            every_evaluator(&ensemble, &x);
            prop_assert_eq!(ensemble.contributions(&x, 0, 0).unwrap().len(), width + 1);
        }
    }
}

#[test]
fn blocks_take_many_columns_fine_cuts_and_deep_trees() {
    for (n_features, n_thresholds, depth, n_trees, registers) in [
        (3, 100, 3, 40, 1),
        (1, 5000, 11, 20, 1),
        (100, 200, 7, 40, 2),
        (180, 50, 13, 30, 3),
        (450, 20, 6, 300, 8),
    ] {
        let mut chance = Chance(n_features as u64);
        let trees = (0..n_trees)
            .map(|_| chance.numeric_tree(n_features, n_thresholds, depth))
            .collect();
        let ensemble = TreeEnsemble::new(n_features, 0.25, Link::Identity, trees).unwrap();
        assert_eq!(
            ensemble.blocks.as_ref().map(|it| it.shape.registers),
            Some(registers),
            "{n_features} columns"
        );
        let x = chance.rows(200, n_features);
        let judge = bits(&ensemble.raw(&x));
        for (by, sums) in every_evaluator(&ensemble, &x) {
            assert_eq!(bits(&sums), judge, "{by:?} on {n_features} columns");
        }
    }
}

#[test]
fn tuning_changes_no_answer() {
    let mut chance = Chance(5);
    let mut ensemble = chance.ensemble(4, 6, 30);
    let x = chance.rows(20, 4);
    let before = bits(&ensemble.predict(&x).unwrap());
    ensemble.tune(&x);
    assert!(ensemble.evaluators().contains(&ensemble.evaluator()));
    let one_by_one: Vec<f64> = x.rows().map(|row| ensemble.raw_row(row).unwrap()).collect();
    assert_eq!(bits(&one_by_one), before);
}

#[test]
fn sections_that_lie_outside_are_refused() {
    let body = Chance(1).ensemble(4, 3, 1).to_bytes();
    for section in 0..16 {
        for (field, value) in [(0, u64::MAX), (8, u64::MAX), (8, 1 << 40), (0, 1), (8, 3)] {
            let mut hostile = body.clone();
            hostile[64 + 16 * section + field..][..8].copy_from_slice(&u64::to_le_bytes(value));
            check_damaged(parse(&section::aligned(&hostile)));
        }
    }
}

#[test]
fn a_newer_file_names_its_version() {
    let mut body = Chance(1).ensemble(4, 3, 1).to_bytes();
    body[8] = 9;
    assert!(matches!(
        TreeEnsemble::from_bytes(&body),
        Err(InferenceError::Format { got: 9, supported: 2 })
    ));
}

#[test]
fn a_file_is_used_where_it_lies() {
    let mut chance = Chance(8);
    let trees = (0..40).map(|_| chance.numeric_tree(100, 300, 9)).collect();
    let ensemble = TreeEnsemble::new(100, 0.5, Link::Logit, trees).unwrap();
    let bytes = section::aligned(&ensemble.to_bytes());
    let read = TreeEnsemble::from_shared(bytes.clone()).unwrap();
    let exits = read.blocks.as_ref().unwrap().exits.bytes().as_ptr_range();
    assert!(bytes.as_ptr_range().start <= exits.start && exits.end <= bytes.as_ptr_range().end);
    let x = chance.rows(50, 100);
    let judge = bits(&ensemble.raw(&x));
    for (by, sums) in every_evaluator(&read, &x) {
        assert_eq!(bits(&sums), judge, "{by:?}");
    }
    assert_eq!(read.to_bytes(), ensemble.to_bytes());
    let elsewhere = [&[0], &bytes[..]].concat();
    assert_eq!(TreeEnsemble::from_bytes(&elsewhere[1..]).unwrap(), ensemble);
}

fn leaf(value: f64) -> Node {
    Node::Leaf {
        value: value.into(),
        cover: 1.0,
    }
}

fn split(feature: u32, threshold: f64, left: u32, right: u32) -> Node {
    Node::Numeric {
        feature,
        threshold,
        missing_left: true,
        left,
        right,
        cover: 2.0,
    }
}

#[test]
fn what_is_no_tree_is_refused() {
    let cases: [(&str, Vec<Node>); 9] = [
        ("no nodes", vec![]),
        ("a loop", vec![split(0, 1.0, 0, 1), leaf(1.0)]),
        ("a shared child", vec![split(0, 1.0, 1, 1), leaf(1.0)]),
        ("a child outside", vec![split(0, 1.0, 1, 2), leaf(1.0)]),
        ("an orphan", vec![leaf(1.0), leaf(2.0)]),
        ("a column outside", vec![split(2, 1.0, 1, 2), leaf(1.0), leaf(2.0)]),
        (
            "a threshold that is NaN",
            vec![split(0, f64::NAN, 1, 2), leaf(1.0), leaf(2.0)],
        ),
        ("an infinite leaf", vec![leaf(f64::INFINITY)]),
        (
            "a cover of nothing",
            vec![Node::Leaf {
                value: 1.0.into(),
                cover: 0.0,
            }],
        ),
    ];
    for (what, nodes) in cases {
        let result = TreeEnsemble::new(2, 0.0, Link::Identity, vec![Tree::new(nodes)]);
        assert!(
            matches!(result, Err(InferenceError::Damaged { .. })),
            "{what} was accepted"
        );
    }
}

#[test]
fn a_chain_deeper_than_the_limit_is_refused() {
    let chain = |depth: u32| {
        let mut nodes: Vec<Node> = (0..depth)
            .flat_map(|it| [split(0, 1.0, 2 * it + 1, 2 * it + 2), leaf(0.5)])
            .collect();
        nodes.push(leaf(1.0));
        TreeEnsemble::new(1, 0.0, Link::Identity, vec![Tree::new(nodes)])
    };
    let deepest = chain(MAX_DEPTH as u32).unwrap();
    let got: f64 = deepest.contributions_row(&[2.0], 0).unwrap().iter().sum();
    assert!((got - 1.0).abs() < 1e-9);
    check_damaged(chain(MAX_DEPTH as u32 + 1));
}

#[test]
fn a_row_of_another_width_is_refused() {
    let ensemble = Chance(3).ensemble(4, 3, 2);
    let x = FeatureMatrix::from_rows(3, vec![0.0; 6]);
    assert!(ensemble.predict(&x).unwrap_err().to_string().contains("3 columns"));
    assert!(ensemble.contributions(&x, 0, 0).is_err());
}

#[test]
fn links_are_their_formulas_at_both_ends() {
    for (link, raw, expected) in [
        (Link::Identity, -3.5, -3.5),
        (Link::Logit, 0.0, 0.5),
        (Link::Logit, 800.0, 1.0),
        (Link::Logit, -800.0, 0.0),
        (Link::Logit, 2.0, 1.0 / (1.0 + (-2.0_f64).exp())),
        (Link::Log, 1.0, std::f64::consts::E),
        (Link::Softmax, 3.0, 1.0),
        (Link::Probit, 1.959_963_984_540_054, 0.975),
        (Link::Probit, -40.0, 0.0),
        (Link::Step, 1e-300, 1.0),
        (Link::Step, 0.0, 0.0),
        (Link::Softplus, 0.0, std::f64::consts::LN_2),
        (Link::Softplus, 800.0, 800.0),
        (Link::SignedSquare, -1.5, -2.25),
    ] {
        assert!((link.apply(raw) - expected).abs() < 1e-15, "{link:?} of {raw}");
    }
}

/// Trees of several outputs, leaves of one number or of one for each output.
fn several_outputs(
    chance: &mut Chance,
    n_features: usize,
    n_outputs: usize,
    vectors: bool,
    combine: Combine,
) -> TreeEnsemble {
    let mut trees: Vec<Tree> = (0..30).map(|_| chance.tree(n_features, 5)).collect();
    for tree in &mut trees {
        if !vectors {
            tree.output = chance.below(n_outputs) as u32;
            continue;
        }
        for node in &mut tree.nodes {
            if let Node::Leaf { value, .. } = node {
                *value = LeafValue::Many((0..n_outputs).map(|_| chance.number()).collect());
            }
        }
    }
    let form = Form {
        n_features,
        base: (0..n_outputs).map(|_| chance.number()).collect(),
        link: Link::Softmax,
        combine,
        trees,
    };
    TreeEnsemble::from_form(form).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn several_outputs_are_summed_averaged_explained_and_stored(seed: u64, n_outputs in 1_usize..6, vectors: bool, average: bool) {
        let mut chance = Chance(seed);
        let combine = if average { Combine::Average } else { Combine::Sum };
        let ensemble = several_outputs(&mut chance, 4, n_outputs, vectors, combine);
        let x = chance.rows(40, 4);
        let judge = ensemble.raw(&x);
        prop_assert_eq!(bits(&ensemble.predict(&x).unwrap()), bits(&judge));
        for (by, sums) in every_evaluator(&ensemble, &x) {
            prop_assert_eq!(bits(&sums), bits(&judge), "{:?}", by);
        }
        for output in 0..n_outputs {
            let got = ensemble.contributions(&x, 3, output).unwrap();
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
            prop_assert!(close(got.iter().sum(), judge[3 * n_outputs + output]));
            prop_assert!(close(got[1], shapley(&ensemble, x.row(3), 1, output)));
        }
        prop_assert_eq!(TreeEnsemble::from_bytes(&ensemble.to_bytes()).unwrap(), ensemble);
    }
}

#[test]
fn averages_divide_by_the_trees_of_their_output_and_orders_do_not_matter_across_outputs() {
    let tree = |value: f64, output| Tree::for_output(vec![leaf(value)], output);
    let form = Form {
        n_features: 1,
        base: vec![0.5, -1.0, 0.0],
        link: Link::Identity,
        combine: Combine::Average,
        trees: vec![tree(4.0, 1), tree(1.0, 0), tree(2.0, 1), tree(3.0, 1)],
    };
    let ensemble = TreeEnsemble::from_form(form).unwrap();
    let mut out = [0.0; 3];
    ensemble.raw_row_into(&[0.0], &mut out).unwrap();
    assert_eq!(out, [1.5, 2.0, 0.0]);
    assert!(ensemble.raw_row(&[0.0]).is_err(), "three outputs are no single number");
}

#[test]
fn leaves_of_two_kinds_and_outputs_that_are_not_there_are_refused() {
    let many = |n: usize| Node::Leaf {
        value: LeafValue::Many(vec![1.0; n].into()),
        cover: 1.0,
    };
    let form = |trees: Vec<Tree>| Form {
        n_features: 1,
        base: vec![0.0, 0.0],
        link: Link::Identity,
        combine: Combine::Sum,
        trees,
    };
    for (what, trees) in [
        ("too short a vector", vec![Tree::new(vec![many(1)])]),
        (
            "two kinds of leaves",
            vec![Tree::new(vec![many(2)]), Tree::new(vec![leaf(1.0)])],
        ),
        ("output 2 of 2", vec![Tree::for_output(vec![leaf(1.0)], 2)]),
        ("vectors for one output", vec![Tree::for_output(vec![many(2)], 1)]),
    ] {
        let refused = TreeEnsemble::from_form(form(trees));
        assert!(
            matches!(refused, Err(InferenceError::Damaged { .. })),
            "{what} was accepted"
        );
    }
}

#[test]
fn a_softmax_adds_up_to_one_at_any_size() {
    for raw in [[0.0, 1.0, 2.0], [1e5, 1e5 + 1.0, -1e5], [-900.0, -901.0, -899.0]] {
        let mut answers = raw;
        Link::Softmax.apply_all(&mut answers);
        assert!((answers.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{answers:?}");
        let ratio = (raw[1] - raw[0]).exp();
        assert!(
            (answers[1] - answers[0] * ratio).abs() <= 1e-12 * answers[1],
            "{answers:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn interventional_values_are_the_shapley_values_of_mixed_rows(seed: u64, n_outputs in 1_usize..3, vectors: bool) {
        let mut chance = Chance(seed);
        let ensemble = several_outputs(&mut chance, 4, n_outputs, vectors, Combine::Average);
        let (x, background) = (chance.rows(1, 4), chance.rows(5, 4));
        let output = n_outputs - 1;
        let got = ensemble.interventional_row(x.row(0), &background, output).unwrap();
        let raw = ensemble.raw(&x)[output];
        prop_assert!((got.iter().sum::<f64>() - raw).abs() <= 1e-9 * (1.0 + raw.abs()), "{:?} {}", got, raw);
        for (column, got) in got[..4].iter().enumerate() {
            let expected = interventional_shapley(&ensemble, x.row(0), &background, column, output);
            prop_assert!((got - expected).abs() <= 1e-9 * (1.0 + expected.abs()), "{} {}", got, expected);
        }
    }
}

#[test]
fn an_explanation_needs_a_background() {
    let ensemble = Chance(3).ensemble(2, 3, 2);
    let none = FeatureMatrix::from_rows(2, vec![]);
    assert!(ensemble.interventional_row(&[0.0, 0.0], &none, 0).is_err());
    assert!(
        ensemble
            .interventional_row(&[0.0, 0.0], &Chance(1).rows(1, 3), 0)
            .is_err()
    );
}

#[test]
fn a_thousand_trees_are_ready_at_once() {
    let shape = crate::testing::Shape {
        trees: 1000,
        depth: 14,
        leaves: 64,
        features: 30,
    };
    let ensemble = crate::testing::random_ensemble(shape, 3);
    let bytes = section::aligned(&ensemble.to_bytes());
    let read = TreeEnsemble::from_shared(bytes).unwrap();
    assert!(
        read.form.get().is_none() && read.flat.get().is_none(),
        "nothing is made before it is asked for"
    );
    let x = crate::testing::random_rows(30, 20, 4);
    assert_eq!(bits(&read.predict(&x).unwrap()), bits(&ensemble.raw(&x)));
    assert_eq!(read, ensemble);
}
