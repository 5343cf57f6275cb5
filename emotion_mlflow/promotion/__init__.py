"""What a version must show before it becomes `@champion`: gates, their limits, the model card. Used by the jobs."""
