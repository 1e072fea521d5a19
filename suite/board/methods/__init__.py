"""The methods' pages: idea, diagram, variants, cost, ablations, strengths, what its paper says."""
