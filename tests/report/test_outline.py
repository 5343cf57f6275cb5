from emotion_mlflow.report import outline


def test_sections_come_in_the_comparison_s_order_and_lose_no_row(comparison):
    made = outline.blocks(comparison)
    assert [block.title for block in made] == [
        "Training efficiency",
        "Validation faces",
        "Test faces",
        "Learning rate",
        "Not in the published report",
        "Cost",
    ]
    assert sum(len(block.lines) for block in made) == len(comparison.rows)


def test_rows_of_two_splits_in_one_section_are_told_apart(comparison):
    block = outline.blocks(comparison)[4]
    assert [line.label for line in block.lines] == [
        "Landmarks NME",
        "Expression calibration error (ECE)",
        "Expression calibration error (ECE), validation faces",
    ]


def test_a_column_that_holds_nothing_is_left_out(comparison):
    cost = outline.blocks(comparison)[-1]
    assert (cost.published, cost.has_difference, cost.has_winner) == ((), False, False)


def test_settings_that_differ_are_marked_and_versions_are_not(comparison):
    marked = {fact.label: fact.differs for fact in outline.facts(comparison)}
    assert marked["training.learning_rate"]
    assert marked["Digest of the weights"]
    assert not marked["Recipe"]
    assert not marked["Versions"]


def test_an_interval_is_turned_so_that_above_zero_the_first_is_better(comparison):
    lines = {line.label: line for line in outline.primary_block(comparison).lines}
    assert lines["Valence RMSE"].difference.key == -0.08
    assert lines["Valence RMSE"].interval == (0.04, 0.08, 0.12)  # a lower RMSE is better


def test_only_the_winner_s_figure_is_marked(comparison):
    lines = {line.label: line for line in outline.primary_block(comparison).lines}
    assert [value.best for value in lines["Expression accuracy"].values] == [True, False]
    assert [value.best for value in lines["Arousal CCC"].values] == [False, False]
