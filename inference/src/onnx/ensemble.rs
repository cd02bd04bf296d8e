//! Tree ensembles of a graph: `TreeEnsembleClassifier`, `TreeEnsembleRegressor` (ai.onnx.ml 1 to 4) and `TreeEnsemble` (5).
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html>

use super::Refusal;
use super::columns::{Column, Mode, Split, Test};
use super::proto::NodeView;
use crate::tree::{LeafValue, MAX_DEPTH, MAX_OUTPUTS, Node, Tree};

/// The trees of a graph over the model's inputs, and what is done with their sums.
#[derive(Debug)]
pub(super) struct Ensemble {
    /// Over raw inputs.
    pub(super) trees: Vec<Tree>,
    /// By output; as many as the file gives.
    pub(super) base: Vec<f64>,
    pub(super) n_outputs: usize,
    /// Only one class has weights: two classes, one score.
    pub(super) one_score: bool,
    /// `NONE`, `LOGISTIC`, ..
    pub(super) transform: String,
    pub(super) classes: Vec<String>,
}

/// A node as the file has it; children are positions in the list of nodes or of leaves.
#[derive(Debug, Clone, Copy)]
struct FileNode {
    feature: u32,
    mode: Option<Mode>,
    missing_passes: bool,
    value: f64,
    /// Where the values of a membership test begin and end.
    members: (u32, u32),
    yes: Child,
    no: Child,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Child {
    Node(u32),
    Leaf(u32),
}

/// The file's lists, made one form.
#[derive(Debug, Default)]
struct Lists {
    nodes: Vec<FileNode>,
    roots: Vec<Child>,
    /// What a leaf adds: where its weights begin and end.
    leaves: Vec<(u32, u32)>,
    /// Output and weight, leaf by leaf.
    weights: Vec<(u32, f64)>,
    members: Vec<f64>,
}

/// The operators before version 5, which number their nodes tree by tree.
pub(super) fn numbered(node: NodeView<'_>, columns: &[Column]) -> Result<Ensemble, Refusal> {
    let is_classifier = node.operator() == "TreeEnsembleClassifier";
    let kind = if is_classifier { "class" } else { "target" };
    let classes = if is_classifier { class_names(node) } else { Vec::new() };
    let n_outputs = match is_classifier {
        true => classes.len(),
        false => usize::try_from(node.int("n_targets").unwrap_or(1)).unwrap_or(0),
    };
    let lists = numbered_lists(node, kind)?;
    let average = match node.text("aggregate_function").unwrap_or("SUM") {
        "SUM" => false,
        "AVERAGE" => true,
        other => return Err(Refusal::other(format!("its trees are combined by {other}"))),
    };
    let base = node.numbers("base_values").map_err(Refusal::Broken)?;
    let transform = node.text("post_transform").unwrap_or("NONE").to_owned();
    Ensemble::new(lists, columns, n_outputs, base, average, transform, classes)
}

/// `TreeEnsemble`, which has one list of nodes and one of leaves.
pub(super) fn listed(node: NodeView<'_>, columns: &[Column]) -> Result<Ensemble, Refusal> {
    let average = match node.int("aggregate_function").unwrap_or(1) {
        0 => true,
        1 => false,
        other => return Err(Refusal::other(format!("its trees are combined by function {other}"))),
    };
    let transforms = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"];
    let transform = node.int("post_transform").unwrap_or(0);
    let transform = usize::try_from(transform).ok().and_then(|it| transforms.get(it));
    let transform = transform.ok_or_else(|| Refusal::broken("its post_transform is none that there is"))?;
    let n_outputs = usize::try_from(node.int("n_targets").unwrap_or(1)).unwrap_or(0);
    let lists = listed_lists(node)?;
    Ensemble::new(
        lists,
        columns,
        n_outputs,
        Vec::new(),
        average,
        (*transform).to_owned(),
        Vec::new(),
    )
}

fn class_names(node: NodeView<'_>) -> Vec<String> {
    let texts = node.texts("classlabels_strings");
    if texts.is_empty() {
        let numbers = node
            .ints("classlabels_int64s")
            .into_iter()
            .chain(node.ints("classlabels_ints"));
        numbers.map(|it| it.to_string()).collect()
    } else {
        texts.into_iter().map(str::to_owned).collect()
    }
}

fn numbered_lists(node: NodeView<'_>, kind: &str) -> Result<Lists, Refusal> {
    let ints = |name: &str| node.attribute(name).into_iter().flat_map(|it| it.ints());
    let modes = || node.attribute("nodes_modes").into_iter().flat_map(|it| it.texts());
    let n = modes().count();
    let values = node.numbers("nodes_values").map_err(Refusal::Broken)?;
    let names = [
        "nodes_treeids",
        "nodes_nodeids",
        "nodes_featureids",
        "nodes_truenodeids",
        "nodes_falsenodeids",
    ];
    if let Some(name) = names.iter().find(|it| ints(it).count() != n) {
        return Err(Refusal::broken(format!("it has {n} nodes, but not so many {name}")));
    }
    if values.len() != n || n == 0 {
        return Err(Refusal::broken(format!(
            "it has {n} nodes and {} nodes_values",
            values.len()
        )));
    }
    // Node by (tree, number): sorted positions.
    let ids: Vec<(i64, i64)> = ints(names[0]).zip(ints(names[1])).collect();
    let mut order: Vec<u32> = (0..u32::try_from(n).map_err(|_| Refusal::broken("it has too many nodes"))?).collect();
    order.sort_by_key(|&it| ids[it as usize]);
    if order.windows(2).any(|it| ids[it[0] as usize] == ids[it[1] as usize]) {
        return Err(Refusal::broken("two nodes of a tree have one number"));
    }
    let find = |tree: i64, id: i64| {
        let at = order.binary_search_by_key(&(tree, id), |&it| ids[it as usize]).ok()?;
        Some(order[at])
    };
    let mut lists = Lists::default();
    let mut leaf_of = vec![u32::MAX; n];
    read_weights(node, kind, &mut lists, &mut leaf_of, find)?;
    let missing: Vec<bool> = ints("nodes_missing_value_tracks_true").map(|it| it == 1).collect();
    let mut is_child = vec![false; n];
    let rows = modes().zip(ints(names[2])).zip(ints(names[3])).zip(ints(names[4]));
    for (at, (((mode, feature), yes), no)) in rows.enumerate() {
        if mode == "LEAF" {
            lists.nodes.push(FileNode::leaf());
            continue;
        }
        let mut child = |id: i64| {
            let found = find(ids[at].0, id).ok_or_else(|| {
                Refusal::broken(format!(
                    "tree {} refers to node {id}, which it does not have",
                    ids[at].0
                ))
            })?;
            is_child[found as usize] = true;
            Ok(Child::Node(found))
        };
        lists.nodes.push(FileNode {
            feature: u32::try_from(feature).map_err(|_| Refusal::broken("a node tests a column below 0"))?,
            mode: Some(Mode::of_name(mode).ok_or_else(|| Refusal::broken(format!("a node has the mode `{mode}`")))?),
            missing_passes: missing.get(at).copied().unwrap_or(false),
            value: values[at],
            members: (0, 0),
            yes: child(yes)?,
            no: child(no)?,
        });
    }
    // Leaves by the nodes that refer to them.
    for at in 0..n {
        let leaf = |child: Child| match child {
            Child::Node(it) if lists.nodes[it as usize].mode.is_none() => Child::Leaf(leaf_of[it as usize]),
            other => other,
        };
        let (yes, no) = (leaf(lists.nodes[at].yes), leaf(lists.nodes[at].no));
        (lists.nodes[at].yes, lists.nodes[at].no) = (yes, no);
    }
    let mut tree = None;
    for (place, &at) in order.iter().enumerate() {
        if is_child[at as usize] {
            continue;
        }
        if tree.replace(ids[at as usize].0) == Some(ids[at as usize].0) {
            return Err(Refusal::broken(format!(
                "tree {} has more than one root",
                ids[at as usize].0
            )));
        }
        let is_leaf = lists.nodes[at as usize].mode.is_none();
        let tree_at = |place: usize| order.get(place).map(|&it| ids[it as usize].0);
        let here = tree_at(place);
        let is_alone = tree_at(place + 1) != here && (place == 0 || tree_at(place - 1) != here);
        if is_leaf && !is_alone {
            return Err(Refusal::broken("the nodes of a tree go in a circle"));
        }
        lists.roots.push(if is_leaf {
            Child::Leaf(leaf_of[at as usize])
        } else {
            Child::Node(at)
        });
    }
    let mut trees: Vec<i64> = ids.iter().map(|it| it.0).collect();
    trees.sort_unstable();
    trees.dedup();
    if trees.len() == lists.roots.len() {
        Ok(lists)
    } else {
        Err(Refusal::broken("a tree has no root: its nodes go in a circle"))
    }
}

/// Weights sorted by leaf; a leaf of which there are none adds nothing.
fn read_weights(
    node: NodeView<'_>,
    kind: &str,
    lists: &mut Lists,
    leaf_of: &mut [u32],
    find: impl Fn(i64, i64) -> Option<u32>,
) -> Result<(), Refusal> {
    let ints = |name: &str| {
        let name = format!("{kind}_{name}");
        node.attribute(&name).into_iter().flat_map(|it| it.ints())
    };
    let numbers = node.numbers(&format!("{kind}_weights")).map_err(Refusal::Broken)?;
    let n = numbers.len();
    if [ints("treeids").count(), ints("nodeids").count(), ints("ids").count()] != [n; 3] {
        return Err(Refusal::broken(format!("its lists of {kind} weights differ in length")));
    }
    let mut weights = Vec::with_capacity(n);
    for (((tree, id), output), weight) in ints("treeids").zip(ints("nodeids")).zip(ints("ids")).zip(numbers) {
        let at = find(tree, id)
            .ok_or_else(|| Refusal::broken(format!("tree {tree} has a weight at node {id}, which it does not have")))?;
        let output = u32::try_from(output).map_err(|_| Refusal::broken("a weight is of an output below 0"))?;
        weights.push((at, output, weight));
    }
    weights.sort_by_key(|it| (it.0, it.1));
    for (at, output, weight) in weights {
        let here = lists.weights.len() as u32;
        if leaf_of[at as usize] == u32::MAX {
            leaf_of[at as usize] = lists.leaves.len() as u32;
            lists.leaves.push((here, here));
        }
        lists.weights.push((output, weight));
        lists.leaves[leaf_of[at as usize] as usize].1 = here + 1;
    }
    Ok(())
}

fn listed_lists(node: NodeView<'_>) -> Result<Lists, Refusal> {
    let numbers = |name: &str| {
        node.tensor(name)
            .map_or(Ok(Vec::new()), |it| it.numbers())
            .map_err(Refusal::Broken)
    };
    let ints = |name: &str| node.attribute(name).into_iter().flat_map(|it| it.ints());
    let (modes, splits, leaves) = (
        numbers("nodes_modes")?,
        numbers("nodes_splits")?,
        numbers("leaf_weights")?,
    );
    let n = modes.len();
    let lengths = [
        "nodes_featureids",
        "nodes_truenodeids",
        "nodes_falsenodeids",
        "nodes_trueleafs",
        "nodes_falseleafs",
    ];
    if splits.len() != n || lengths.iter().any(|it| ints(it).count() != n) {
        return Err(Refusal::broken(format!(
            "it has {n} nodes_modes, but other lists of nodes differ in length"
        )));
    }
    if ints("leaf_targetids").count() != leaves.len() {
        return Err(Refusal::broken(
            "it has another number of leaf_targetids than of leaf_weights",
        ));
    }
    let mut lists = Lists {
        members: numbers("membership_values")?,
        ..Lists::default()
    };
    for (at, (output, weight)) in ints("leaf_targetids").zip(leaves).enumerate() {
        let output = u32::try_from(output).map_err(|_| Refusal::broken("a leaf is of an output below 0"))?;
        lists.weights.push((output, weight));
        lists.leaves.push((at as u32, at as u32 + 1));
    }
    let missing: Vec<bool> = ints("nodes_missing_value_tracks_true").map(|it| it == 1).collect();
    let child = |is_leaf: i64, at: i64, n_leaves: usize| {
        let known = usize::try_from(at).is_ok_and(|it| it < if is_leaf == 1 { n_leaves } else { n });
        let at = u32::try_from(at).ok().filter(|_| known);
        let at = at.ok_or_else(|| Refusal::broken("a node refers to one that is not there"))?;
        Ok(if is_leaf == 1 { Child::Leaf(at) } else { Child::Node(at) })
    };
    let mut set = 0;
    let yes = ints(lengths[3]).zip(ints(lengths[1]));
    let no = ints(lengths[4]).zip(ints(lengths[2]));
    for (at, ((feature, yes), no)) in ints(lengths[0]).zip(yes).zip(no).enumerate() {
        let mode = Mode::of_code(modes[at]).ok_or_else(|| Refusal::broken("a node has no mode that there is"))?;
        let start = set;
        if mode == Mode::Member {
            let rest = lists.members.get(start..).unwrap_or_default();
            let n = rest.iter().position(|it| it.is_nan()).unwrap_or(rest.len());
            set = start + n + 1;
        }
        let n_leaves = lists.leaves.len();
        let end = set.saturating_sub(1).max(start).min(lists.members.len());
        lists.nodes.push(FileNode {
            feature: u32::try_from(feature).map_err(|_| Refusal::broken("a node tests a column below 0"))?,
            mode: Some(mode),
            missing_passes: missing.get(at).copied().unwrap_or(false),
            value: splits[at],
            members: (start as u32, end as u32),
            yes: child(yes.0, yes.1, n_leaves)?,
            no: child(no.0, no.1, n_leaves)?,
        });
    }
    for root in ints("tree_roots") {
        lists.roots.push(child(0, root, 0)?);
    }
    Ok(lists)
}

impl FileNode {
    fn leaf() -> Self {
        Self {
            feature: 0,
            mode: None,
            missing_passes: false,
            value: 0.0,
            members: (0, 0),
            yes: Child::Leaf(u32::MAX),
            no: Child::Leaf(u32::MAX),
        }
    }
}

impl Ensemble {
    fn new(
        lists: Lists,
        columns: &[Column],
        n_outputs: usize,
        base: Vec<f64>,
        average: bool,
        transform: String,
        classes: Vec<String>,
    ) -> Result<Self, Refusal> {
        if n_outputs == 0 || n_outputs > MAX_OUTPUTS {
            return Err(Refusal::broken(format!("it has {n_outputs} outputs")));
        }
        if lists.roots.is_empty() {
            return Err(Refusal::broken("it has no trees"));
        }
        if lists.weights.iter().any(|it| it.0 as usize >= n_outputs) {
            return Err(Refusal::broken(format!(
                "a leaf adds to an output past the last of {n_outputs}"
            )));
        }
        let all_finite = lists.weights.iter().all(|it| it.1.is_finite()) && base.iter().all(|it| it.is_finite());
        if !all_finite || ![0, 1, n_outputs].contains(&base.len()) {
            return Err(Refusal::broken(
                "its leaves or base values are not finite, or not as many as outputs",
            ));
        }
        let one_score = classes.len() == 2 && {
            let first = lists.weights.first().map(|it| it.0);
            lists.weights.iter().all(|it| Some(it.0) == first)
        };
        let share = if average { 1.0 / lists.roots.len() as f64 } else { 1.0 };
        let planter = Planter {
            n_outputs: if one_score { 1 } else { n_outputs },
            lists: &lists,
            columns,
            share,
        };
        Ok(Self {
            trees: planter.trees(one_score)?,
            base,
            n_outputs,
            one_score,
            transform,
            classes,
        })
    }
}

/// Turns the file's nodes into trees.
#[derive(Debug)]
struct Planter<'a> {
    lists: &'a Lists,
    columns: &'a [Column],
    n_outputs: usize,
    share: f64,
}

impl Planter<'_> {
    fn trees(&self, one_score: bool) -> Result<Vec<Tree>, Refusal> {
        let mut seen = vec![false; self.lists.nodes.len()];
        let outputs: Vec<Option<u32>> = match one_score || self.n_outputs == 1 {
            true => vec![Some(0); self.lists.roots.len()],
            false => {
                // The tree that came by a node last.
                let mut visits = vec![u32::MAX; self.lists.nodes.len()];
                let outputs = self.lists.roots.iter().zip(0..);
                outputs
                    .map(|(&root, tree)| self.only_output(root, tree, &mut visits))
                    .collect()
            }
        };
        // A vector per leaf is only as long as the file pays for.
        let vectors = outputs.iter().any(Option::is_none);
        if vectors && self.lists.leaves.len() * self.n_outputs > 4 * self.lists.weights.len() + 8192 {
            return Err(Refusal::other(
                "few of its leaves add to more than one of its many outputs",
            ));
        }
        let planted = self.lists.roots.iter().zip(outputs).map(|(&root, output)| {
            let nodes = self.plant(root, vectors, &mut seen)?;
            Ok(Tree::for_output(nodes, if vectors { 0 } else { output.unwrap_or(0) }))
        });
        planted.collect()
    }

    /// The output that all leaves of a tree add to; `None` where they differ.
    fn only_output(&self, root: Child, tree: u32, visits: &mut [u32]) -> Option<u32> {
        let mut open = vec![root];
        let mut found = None;
        while let Some(at) = open.pop() {
            match at {
                Child::Node(it) if std::mem::replace(&mut visits[it as usize], tree) == tree => {}
                Child::Node(it) => {
                    let node = &self.lists.nodes[it as usize];
                    open.extend([node.yes, node.no]);
                }
                Child::Leaf(it) => {
                    for (output, _) in self.weights(it) {
                        if *found.get_or_insert(*output) != *output {
                            return None;
                        }
                    }
                }
            }
        }
        Some(found.unwrap_or(0))
    }

    fn weights(&self, leaf: u32) -> &[(u32, f64)] {
        match self.lists.leaves.get(leaf as usize) {
            Some(&(from, to)) => &self.lists.weights[from as usize..to as usize],
            None => &[],
        }
    }

    fn leaf(&self, leaf: u32, vectors: bool) -> Node {
        let value = if vectors {
            let mut values = vec![0.0; self.n_outputs];
            for (output, weight) in self.weights(leaf) {
                values[*output as usize] += weight * self.share;
            }
            LeafValue::Many(values.into())
        } else {
            let sum: f64 = self.weights(leaf).iter().map(|it| it.1).sum();
            LeafValue::One(sum * self.share)
        };
        Node::Leaf { value, cover: 1.0 }
    }

    /// Parents first. Every node of the file is used at most once, which ends every circle.
    fn plant(&self, root: Child, vectors: bool, seen: &mut [bool]) -> Result<Vec<Node>, Refusal> {
        let mut nodes = vec![self.leaf(u32::MAX, false)];
        let mut open = vec![(root, 0_usize, 0_usize)];
        while let Some((child, slot, depth)) = open.pop() {
            let at = match child {
                Child::Leaf(it) => {
                    nodes[slot] = self.leaf(it, vectors);
                    continue;
                }
                Child::Node(it) => it as usize,
            };
            if depth > MAX_DEPTH {
                return Err(Refusal::other(format!("a tree is deeper than {MAX_DEPTH}")));
            }
            let (node, of) = self.chain(at, seen)?;
            let left = nodes.len();
            match self.split(&node, &of)? {
                Split::Always(passes) => {
                    open.push((if passes { node.yes } else { node.no }, slot, depth + 1));
                    continue;
                }
                split => {
                    nodes[slot] = branch(
                        node.feature,
                        self.columns,
                        split,
                        left as u32,
                        &mut open,
                        (&node, depth),
                    );
                }
            }
            nodes.extend([self.leaf(u32::MAX, false), self.leaf(u32::MAX, false)]);
        }
        weigh(&mut nodes);
        Ok(nodes)
    }

    /// A node and the numbers that it compares with. Nodes that ask for one category after another and send each to the same
    /// child are one question; only they may share a child.
    fn chain(&self, at: usize, seen: &mut [bool]) -> Result<(FileNode, Vec<f64>), Refusal> {
        let mut visit = |at: usize| match std::mem::replace(&mut seen[at], true) {
            true => Err(Refusal::broken(
                "a node of a tree has two parents, or its nodes go in a circle",
            )),
            false => Ok(self.lists.nodes[at]),
        };
        let mut node = visit(at)?;
        if node.mode == Some(Mode::Member) {
            let of = &self.lists.members[node.members.0 as usize..node.members.1 as usize];
            return Ok((node, of.to_vec()));
        }
        let mut of = vec![node.value];
        while let (Some(Mode::Equal), Child::Node(next)) = (node.mode, node.no) {
            let other = &self.lists.nodes[next as usize];
            let is_alike = other.mode == node.mode && other.feature == node.feature && other.yes == node.yes;
            if !is_alike || other.missing_passes != node.missing_passes {
                break;
            }
            of.push(other.value);
            node.no = visit(next as usize)?.no;
        }
        if of.len() > 1 {
            node.mode = Some(Mode::Member);
        }
        Ok((node, of))
    }

    fn split(&self, node: &FileNode, of: &[f64]) -> Result<Split, Refusal> {
        let mode = node.mode.expect("leaves are told apart before");
        let column = self.columns.get(node.feature as usize).ok_or_else(|| {
            Refusal::broken(format!(
                "a tree tests column {} of {}",
                node.feature,
                self.columns.len()
            ))
        })?;
        if of.iter().any(|it| it.is_nan()) {
            return Err(Refusal::broken("a tree compares with a number that is none (NaN)"));
        }
        let test = Test {
            mode,
            of,
            missing_passes: node.missing_passes,
        };
        column.split(test).map_err(Refusal::Other)
    }
}

/// The node of a split; its children are opened at `left` and `left + 1`.
fn branch(
    column: u32,
    columns: &[Column],
    split: Split,
    left: u32,
    open: &mut Vec<(Child, usize, usize)>,
    (node, depth): (&FileNode, usize),
) -> Node {
    let feature = columns[column as usize].input;
    let mut children = |left_passes: bool| {
        let (first, second) = if left_passes {
            (node.yes, node.no)
        } else {
            (node.no, node.yes)
        };
        open.push((first, left as usize, depth + 1));
        open.push((second, left as usize + 1, depth + 1));
    };
    match split {
        Split::Category {
            words,
            left_passes,
            missing_passes,
        } => {
            children(left_passes);
            Node::Category {
                feature,
                categories: words,
                missing_left: missing_passes == left_passes,
                left,
                right: left + 1,
                cover: 1.0,
            }
        }
        Split::Numeric {
            threshold,
            left_passes,
            missing_passes,
        } => {
            children(left_passes);
            Node::Numeric {
                feature,
                threshold,
                missing_left: missing_passes == left_passes,
                left,
                right: left + 1,
                cover: 1.0,
            }
        }
        Split::Always(_) => unreachable!("the caller follows what is always so"),
    }
}

/// Nothing is known of training weights: a leaf counts 1.
fn weigh(nodes: &mut [Node]) {
    for at in (0..nodes.len()).rev() {
        let Some((left, right)) = nodes[at].children() else {
            continue;
        };
        let sum = nodes[left].cover() + nodes[right].cover();
        if let Node::Numeric { cover, .. } | Node::Category { cover, .. } = &mut nodes[at] {
            *cover = sum;
        }
    }
}
