"""What all rooms share: types, graph, operators, executor, layouts, targets and the engine contract."""
