"""Choice of the best of several candidates for a sample.

`features` describes candidates, `choice` scores them by a bundle's `handlers.model.acceptability` and keeps the samples
of a request apart. `topic_rule` is the rule for older bundles, which have no such score, and `value_rule` that for
requests that rank by what curators accepted (`values`). `ranker` applies one of them to the candidates of a batch.
"""
