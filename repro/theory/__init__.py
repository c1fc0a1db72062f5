"""The paper's section 3 and appendix as networks with explicit weights, and what they show."""
