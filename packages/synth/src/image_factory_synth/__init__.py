"""Kargo resources from state: plain records first, cdk8s last."""
